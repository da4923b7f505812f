"""The strong level's factor: never a gain on average where nothing is true, and the formula written out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.signals.rule import AlarmRule
from streams.signals.strong import grown, margins, weighted

RULE = AlarmRule(strata=2, pairs=10**12)  # so many pairs that the injection does not show
MICRO = 1_000_000


def factors(score: int, n: list[int], m: list[int], cases: list[int], rule: AlarmRule) -> list[float]:
    """L for each theta: M after a bucket that began with 1. Scores in micro."""
    bucket = margins(columns=np.array([1]), event_micro=np.array(m)[:, np.newaxis], cases=np.array(cases), rule=rule)
    before = np.ones((len(rule.strong_thetas), 3))
    after = grown(before, score_micro=np.array([0, score, 0]), drug_cases=np.array(n), bucket=bucket, rule=rule)
    assert np.allclose(after[:, [0, 2]], 1), "an event that is not in the bucket gains the injection alone"
    return after[:, 1].tolist()  # type: ignore[no-any-return]


def test_defaults_are_the_published_ones_and_weights_add_up() -> None:
    assert RULE.strong_thetas == (1.5, 2, 3, 5, 10, 30, 100)
    assert RULE.strong_weights == (0.1, 0.15, 0.2, 0.2, 0.15, 0.1, 0.1)
    assert sum(RULE.strong_weights) == pytest.approx(1)
    assert weighted(np.full((7, 2), 3.0), RULE) == pytest.approx([3, 3])


def test_the_factor_is_the_formula_by_hand() -> None:
    """Six infants with one case of the event, on the one who had the drug: 6 theta / (5 + theta) by the twin."""
    for theta, found in zip(RULE.strong_thetas, factors(MICRO, [1, 0], [MICRO, 0], [6, 9], RULE), strict=True):
        assert found == pytest.approx(6 * theta / (5 + theta))
        assert found == pytest.approx(theta / (1 + (theta - 1) / 6))


@pytest.mark.parametrize("coded", [True, False])
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 7), st.integers(0, 7), st.data())
def test_where_nothing_is_true_the_factor_is_at_most_one_on_average(
    coded: bool, cases: int, n: int, data: st.DataObject
) -> None:
    """Over all ways in which the drug can fall on n of the cases, which are equally likely; scores of any size if read
    in text. The exact mean, not a simulation."""
    n = min(n, cases)
    score = st.sampled_from([0, MICRO]) if coded else st.integers(0, MICRO)
    scores = [data.draw(score) for _ in range(cases)]
    rule = AlarmRule(strata=2, pairs=10**12, coded=coded)
    every = [
        factors(sum(scores[i] for i in drawn), [n, 0], [sum(scores), 0], [cases, 0], rule)
        for drawn in combinations(range(cases), n)
    ]
    assert (np.mean(every, axis=0) <= 1 + 1e-9).all()


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_strata_add_up_and_the_smaller_bound_counts_in_each(n0: int, m0: int, n1: int, m1: int) -> None:
    score = min(n0, m0) + min(n1, m1)
    found = factors(score * MICRO, [n0, n1], [m0 * MICRO, m1 * MICRO], [6, 9], RULE)
    for theta, value in zip(RULE.strong_thetas, found, strict=True):
        log = score * math.log(theta)
        for n, m, cases in ((n0, m0, 6), (n1, m1, 9)):
            log -= min(n * math.log1p((theta - 1) * m / cases), m * math.log1p((theta - 1) * n / cases))
        assert value == pytest.approx(math.exp(log), rel=1e-9)


def test_the_injection_comes_after_the_update() -> None:
    rule = AlarmRule(strata=1, pairs=10, reserve=0.25)  # so three quarters of 1/10 for each pair
    bucket = margins(columns=np.array([0]), event_micro=np.array([[MICRO]]), cases=np.array([2]), rule=rule)
    after = grown(np.ones((7, 1)), score_micro=np.array([MICRO]), drug_cases=np.array([1]), bucket=bucket, rule=rule)
    for theta, value in zip(rule.strong_thetas, after[:, 0], strict=True):
        assert value == pytest.approx(2 * theta / (1 + theta) + 0.075)
