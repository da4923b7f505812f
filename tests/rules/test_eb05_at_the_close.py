"""The EB05 rule in a worker, on a real Redis: it needs a prior, which is fitted at the first boundary of quarters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from scipy.optimize import brentq
from scipy.stats import gamma, nbinom

from streams.events import Alert, Assessment, encode
from streams.signals.gps import Prior

from .rule_cases import START, assessment, monitor
from .test_rules_at_the_close import Open, apply, history, opened, settle

__all__ = ["opened"]  # the fixture

RULES = {"eb05": {"threshold": 2.0, "cases": 3}}
BOUNDARY = -START % 91  # days from the start of the stream to the next multiple of 91 buckets


def stream() -> list[Assessment]:
    """Thirty days of twenty drugs and eight events without any relation, and one pair reported far too often."""
    chance, records = random.Random(5), list[Assessment]()
    for day in range(30):
        found = [(f"drug {chance.randrange(20)}", f"event {chance.randrange(8)}") for _ in range(12)]
        found += [("drug 3", "event 9")] if day % 3 == 0 else []
        records += [assessment(len(records) + i, day, drug, event) for i, (drug, event) in enumerate(found)]
    return [*records, assessment(len(records), 40, "drug 1", "event 1")]


def eb05(a: float, expected: float, prior: Prior) -> float:
    """DuMouchel (1999): 5% quantile of the posterior mixture of two gammas, from scipy's distributions alone."""
    parts = [(prior.weight, prior.alpha1, prior.beta1), (1 - prior.weight, prior.alpha2, prior.beta2)]
    likely = [w * nbinom.pmf(a, shape, rate / (rate + expected)) for w, shape, rate in parts]
    q = likely[0] / sum(likely)

    def below(x: float) -> float:
        shares = [gamma.cdf(x, shape + a, scale=1 / (rate + expected)) for _, shape, rate in parts]
        return float(q * shares[0] + (1 - q) * shares[1] - 0.05)

    return float(brentq(below, 1e-9, 1e4, xtol=1e-12))


def test_eb05_is_silent_before_its_prior_and_survives_restarts_after_it(
    opened: Open, unique: Callable[[str], str]
) -> None:
    whole, parts = monitor(unique("whole"), rules=RULES), monitor(unique("parts"), rules=RULES)
    parts = parts.replayed_as(parts.name).model_copy(update={"replay_of": whole.name})
    detection, records = opened(whole), stream()
    assert 0 < BOUNDARY < 30
    apply(detection, records)
    expected = settle(detection)
    raised = [alert for alert in expected if alert.kind == "eb05"]
    assert {(a.drug, a.event) for a in raised} == {("drug 3", "event 9")}
    assert raised[0].bucket - START >= BOUNDARY
    assert [a.state for a in raised] == ["raised"] + ["updated"] * (len(raised) - 1)
    prior = detection.closer.detector(detection.closer.at).memory.prior  # type: ignore[union-attr]
    assert prior is not None
    for alert in raised:
        assert_published(alert, prior)
    for start, end in pairwise((0, 150, 200, 300, len(records))):
        detection = opened(parts)
        apply(detection, records[start:end])
        settle(detection)
    assert [encode(alert) for alert in history(detection)] == [encode(alert) for alert in expected]


def assert_published(alert: Alert, prior: Prior) -> None:
    assert alert.statistic == pytest.approx(eb05(alert.table.a, alert.table.expected, prior), rel=1e-6)
    assert alert.statistic >= alert.threshold == 2.0
    assert alert.cases == alert.table.a == math.floor(alert.table.a)
