"""One drug's step through a bucket: counts, snapshots, the statistic of each pair, and which of them fire. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streams.detect.alarms import Firing
from streams.detect.drugstate import DrugState
from streams.detect.reference import ReferenceView
from streams.signals.early import (
    MICRO,
    Counts,
    Floats,
    OwnPast,
    lower_bound,
    mixed,
    own_past,
    updated,
)
from streams.signals.rounding import round_state
from streams.signals.rule import AlarmRule

__all__ = ["bucket_cases", "drug_score", "fires", "stepped"]

DAY_MS = 86_400_000


def bucket_cases(view: ReferenceView, drug: str, strata: int) -> Counts:
    """n of the bucket, per stratum."""
    n: Counts = np.zeros(strata, np.int64)
    for stratum, count in view.totals.drugs[drug].items():
        n[stratum] = count
    return n


def drug_score(view: ReferenceView, drug: str) -> Counts:
    """S of the bucket in micro for each event of the view and the phantom."""
    score: Counts = np.zeros(view.size + 1, np.int64)
    for event, micro in view.totals.scores(drug).items():
        score[view.index(event)] = micro
    return score


def stepped(
    old: DrugState | None,
    *,
    bucket: int,
    score: Counts,
    expected: Floats,
    closed: int,
    monitored: bool,
    rule: AlarmRule,
) -> tuple[DrugState, OwnPast | None]:
    """The drug's state after the bucket, and the pairs' own past; None while the burn-in lasts, which only counts.

    `old`: the state before, None for a drug never seen · `closed`: monitored buckets closed before this one.
    """
    size = len(score) - 1
    if old is None:
        old = DrugState.empty(bucket=bucket, ordinal=closed, thetas=len(rule.thetas), head_start=rule.head_start)
    old = old.with_snapshot(
        bucket=bucket, every=rule.snapshot, oldest_needed=(bucket - rule.past) // rule.snapshot
    ).stretched(size)
    new = _counted(old, bucket, score, expected, rule)
    if not monitored:
        return new, None
    before = old.at((bucket - rule.past) // rule.snapshot, size)
    past = own_past(score_micro=before.score, expected=before.expected, rule=rule)
    waited = old.statistics + rule.injection * (closed - old.ordinal)
    statistics = round_state(updated(waited, score_micro=score, expected=expected, past=past, rule=rule))
    return replace(new, statistics=statistics, ordinal=closed + 1), past


def _counted(old: DrugState, bucket: int, score: Counts, expected: Floats, rule: AlarmRule) -> DrugState:
    day = bucket * rule.bucket_ms // DAY_MS
    seen = score > 0
    return replace(
        old,
        bucket=bucket,
        score=old.score + score,
        expected=round_state(old.expected + expected),
        days=old.days + (seen & (old.last_day != day)),
        last_day=np.where(seen, day, old.last_day),
    )


def fires(
    drug: str,
    state: DrugState,
    *,
    score: Counts,
    past: OwnPast,
    threshold: Floats,
    view: ReferenceView,
    rule: AlarmRule,
) -> list[Firing]:
    """The drug's pairs at which the rule fires. `threshold`: that of each event of the view."""
    statistic = mixed(state.statistics)[: view.size]
    candidates = np.flatnonzero((score[: view.size] > 0) & (statistic >= threshold))
    if not len(candidates):
        return []
    number = (view.bucket - rule.recent) // rule.snapshot
    then = state.at(number, view.size)
    firing = []
    for i in candidates.tolist():
        cases = int(state.score[i] - then.score[i]) / MICRO
        expected = float(state.expected[i] - then.expected[i])
        days = int(state.days[i] - then.days[i])
        ratio = float(past.ratio[i])
        bound = lower_bound(cases=cases, expected=expected, past_ratio=ratio, rule=rule)
        if cases >= rule.min_cases and days >= rule.min_days and bound >= rule.rho:
            firing.append(
                Firing(
                    drug,
                    view.events[i],
                    float(statistic[i]),
                    float(threshold[i]),
                    cases,
                    expected,
                    days,
                    number * rule.snapshot,
                    ratio,
                    bound,
                )
            )
    return firing
