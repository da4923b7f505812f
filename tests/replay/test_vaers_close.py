"""The pure close over VAERS with a larger budget: what `test_vaers_acceptance` does not run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from streams.detect.alarms import Alarm
from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.rule import rule_of
from streams.detect.totals import BucketTotals, pair_scores
from streams.monitors import load_monitor
from streams.signals.rule import AlarmRule
from tests.replay.vaers_recount import EPOCH, Report

RULE = rule_of(load_monitor("vaers"))


def contributions(reports: Iterable[Report]) -> list[Contribution]:
    result = []
    for offset, report in enumerate(reports):
        events = tuple(sorted(report.events))
        result.append(
            Contribution(
                position=("vaers", 0, offset),
                received_at=report.day * 86_400_000,
                case_id=report.vaers_id,
                version=1,
                stratum=report.stratum,
                drugs=tuple(sorted(report.products)),
                events=events,
                scores=(1_000_000,) * len(events),
            )
        )
    return result


def alarms_of(cases: Iterable[Contribution], rule: AlarmRule) -> list[Alarm]:
    """Close every bucket in order; the cases of a pair are looked up as a store would."""
    buckets: dict[int, list[Contribution]] = defaultdict(list)
    for case in cases:
        buckets[case.received_at // rule.bucket_ms].append(case)
    kept: dict[tuple[str, str], list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
    detector = Detector.restore(rule)
    alarms = []
    for bucket, found in sorted(buckets.items()):
        for case in found:
            for drug, event, _ in pair_scores(case):
                kept[drug, event].append((bucket, case.drugs))
        evaluation = detector.evaluate(BucketTotals.of(bucket, found))
        recent = {pair: [d for b, d in kept[pair] if b > bucket - rule.bystander] for pair in evaluation.pairs}
        delta = detector.delta(evaluation, detector.judge(evaluation, recent))
        detector.advance(delta)
        alarms += delta.alarms
    return alarms


def day(alarm: Alarm) -> date:
    return date.fromordinal(EPOCH.toordinal() + alarm.bucket)


def test_a_larger_budget_alerts_on_12_february_1999_with_three_cases(reports: list[Report]) -> None:
    until = [r for r in reports if r.received <= date(1999, 2, 12)]
    sensitive = alarms_of(contributions(until), replace(RULE, false_alarms_per_year=200))
    found = [a for a in sensitive if (a.drug, a.event) == ("RV", "Intussusception")]
    assert [(day(a), a.cases, a.status) for a in found] == [(date(1999, 2, 12), 3, "new")]
