"""One drug's step through a bucket: counts, snapshots, the statistic of each pair, and which of them fire. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streams.detect.alarms import Firing, Reading
from streams.detect.drugstate import DrugState
from streams.detect.reference import ReferenceView
from streams.signals.early import (
    MICRO,
    Counts,
    Floats,
    OwnPast,
    expected_cases,
    lower_bound,
    mixed,
    own_past,
    reference_rates,
    surge,
    updated,
)
from streams.signals.rounding import round_state
from streams.signals.rule import AlarmRule
from streams.signals.strong import BucketMargins, grown, margins, weighted

__all__ = ["BucketInputs", "bucket_cases", "drug_score", "fires", "stepped"]

DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False)
class BucketInputs:
    """What the steps of all drugs of a bucket read: the reference window, the last weeks, the bucket's margins, and the
    rates p_rs of the reference window."""

    view: ReferenceView
    recent: ReferenceView
    margins: BucketMargins
    rates: Floats

    @classmethod
    def of(cls, view: ReferenceView, recent: ReferenceView, rule: AlarmRule) -> BucketInputs:
        """For the bucket that both views end with."""
        rates = reference_rates(event_micro=view.scores, cases=view.cases, rule=rule)
        return cls(view, recent, bucket_margins(view, rule), rates)

    def expected(self, drug: str, cases: Counts, rule: AlarmRule) -> Floats:
        """E of each event with the drug. `cases`: the drug's in the bucket, per stratum."""
        rates = self.rates
        if rule.exclude_own:
            own, n = self.view.drug_scores(drug), self.view.drug_cases(drug)
            others = np.maximum(self.view.scores - own, 0)
            rates = reference_rates(event_micro=others, cases=self.view.cases - n, rule=rule)
        rising = surge(
            event_micro=np.maximum(self.recent.scores - self.recent.drug_scores(drug), 0),
            cases=self.recent.cases - self.recent.drug_cases(drug),
            rates=rates,
            rule=rule,
        )
        return expected_cases(drug_cases=cases, rates=rates) * rising


def bucket_cases(view: ReferenceView, drug: str, strata: int) -> Counts:
    """n of the bucket, per stratum."""
    n: Counts = np.zeros(strata, np.int64)
    for stratum, count in view.totals.drugs[drug].items():
        n[stratum] = count
    return n


def bucket_margins(view: ReferenceView, rule: AlarmRule) -> BucketMargins:
    """What `strong` needs of the bucket's cases and events, the same for all its drugs."""
    totals = view.totals
    columns = np.array(sorted(view.index(event) for event in totals.events), np.int64)
    place = {column: i for i, column in enumerate(columns.tolist())}
    scores: Counts = np.zeros((rule.strata, len(columns)), np.int64)
    for event, cells in totals.events.items():
        for stratum, micro in cells.items():
            scores[stratum, place[view.index(event)]] = micro
    cases: Counts = np.array([totals.cases[stratum] for stratum in range(rule.strata)], np.int64)
    return margins(columns=columns, event_micro=scores, cases=cases, rule=rule)


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
    cases: Counts,
    expected: Floats,
    margins: BucketMargins,
    closed: int,
    monitored: bool,
    grant: float,
    rule: AlarmRule,
) -> tuple[DrugState, OwnPast | None]:
    """The drug's state after the bucket, and the pairs' own past; None while the burn-in lasts, which only counts.

    `old`: the state before, None for a drug never seen · `cases`: n of the bucket, per stratum · `closed`: monitored
    buckets closed before this one · `grant`: what each pair of a drug never seen gets out of the reserve.
    """
    size = len(score) - 1
    if old is None:
        old = DrugState.empty(bucket=bucket, ordinal=closed, grant=grant, rule=rule)
    old = old.with_snapshot(
        bucket=bucket, every=rule.snapshot, oldest_needed=(bucket - rule.past) // rule.snapshot
    ).stretched(size)
    new = _counted(old, bucket, score, expected, rule)
    if not monitored:
        return new, None
    before = old.at((bucket - rule.past) // rule.snapshot, size)
    past = own_past(score_micro=before.score, expected=before.expected, rule=rule)
    early = old.statistics + rule.injection * (closed - old.ordinal)
    strong = old.strong + rule.strong_injection * (closed - old.ordinal)
    early = updated(early, score_micro=score, expected=expected, past=past, rule=rule)
    strong = grown(strong, score_micro=score, drug_cases=cases, bucket=margins, rule=rule)
    return replace(new, statistics=round_state(early), strong=round_state(strong), ordinal=closed + 1), past


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
    early: Floats,
    strong: Floats,
    view: ReferenceView,
    rule: AlarmRule,
) -> list[Firing]:
    """The drug's pairs at which a level fires. `early`, `strong`: thresholds of each event of the view."""
    value = {"early": mixed(state.statistics)[: view.size], "strong": weighted(state.strong, rule)[: view.size]}
    reached = (value["early"] >= early) | (value["strong"] >= strong)
    candidates = np.flatnonzero((score[: view.size] > 0) & reached)
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
                    drug=drug,
                    event=view.events[i],
                    early=Reading(float(value["early"][i]), float(early[i])),
                    strong=Reading(float(value["strong"][i]), float(strong[i])),
                    cases=cases,
                    expected=expected,
                    days=days,
                    since=number * rule.snapshot,
                    past_ratio=ratio,
                    bound=bound,
                )
            )
    return firing
