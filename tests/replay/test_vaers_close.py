"""The pure close over VAERS 1990-1999 meets the published time to signal, and a recount that shares no code with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from streams.detect.alarms import Alarm
from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.rule import rule_of
from streams.detect.totals import BucketTotals, pair_scores
from streams.monitors import load_monitor
from streams.signals.rule import AlarmRule
from tests.replay.vaers_recount import EPOCH, Report, by_day, counted, read, recount

RULE = rule_of(load_monitor("vaers"))
WINDOW = (date(1998, 10, 1), date(1999, 7, 16))  # licence to suspension


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


@pytest.fixture(scope="module")
def reports(shared_data: Path) -> list[Report]:
    return counted(read(shared_data / "vaers_1990_2006", 1990, 1999))


@pytest.fixture(scope="module")
def alarms(reports: list[Report]) -> list[Alarm]:
    return alarms_of(contributions(reports), RULE)


def test_rotashield_alerts_on_3_march_1999_with_five_cases(alarms: list[Alarm]) -> None:
    first = next(a for a in alarms if (a.drug, a.event) == ("RV", "Intussusception"))
    assert day(first) == date(1999, 3, 3)
    assert (first.level, first.status, first.cases, first.days) == ("early", "new", 5, 4)
    assert first.expected == pytest.approx(0.06, abs=0.01)
    assert first.table.a == 5


def test_rotashield_is_strong_ten_days_before_the_suspension(alarms: list[Alarm]) -> None:
    first = next(a for a in alarms if (a.drug, a.event) == ("RV", "Intussusception") and a.level == "strong")
    assert (day(first), first.cases, first.status) == (date(1999, 7, 6), 14, "update")


def test_few_other_pairs_are_new_before_the_suspension(alarms: list[Alarm]) -> None:
    inside = [a for a in alarms if a.status == "new" and WINDOW[0] <= day(a) <= WINDOW[1]]
    new = [a for a in inside if a.fired == "early"]
    assert len(inside) <= 16, "strong adds those whose budget it keeps"
    assert len(new) <= 8
    assert sum(a.drug == "RV" for a in new) >= 3


def test_vaccines_of_the_same_visit_are_never_new(alarms: list[Alarm]) -> None:
    shared = [a for a in alarms if a.event == "Intussusception" and a.drug in ("IPV", "DTAP")]
    assert "new" not in {a.status for a in shared}


def test_a_larger_budget_alerts_on_12_february_1999_with_three_cases(reports: list[Report]) -> None:
    until = [r for r in reports if r.received <= date(1999, 2, 12)]
    sensitive = alarms_of(contributions(until), replace(RULE, false_alarms_per_year=200))
    found = [a for a in sensitive if (a.drug, a.event) == ("RV", "Intussusception")]
    assert [(day(a), a.cases, a.status) for a in found] == [(date(1999, 2, 12), 3, "new")]


@pytest.mark.parametrize(
    ("drug", "event"),
    [
        ("RV", "Intussusception"),
        ("DTAP", "Intussusception"),
        ("VARCEL", "Abortion"),
        ("DTP", "Mental retardation severity unspecified"),
    ],
)
def test_every_alert_of_a_pair_equals_its_recount_in_plain_python(
    reports: list[Report], alarms: list[Alarm], drug: str, event: str
) -> None:
    expected = recount(by_day(reports), drug, event)
    found = [a for a in alarms if (a.drug, a.event) == (drug, event)]
    assert found
    assert [day(a) for a in found] == [e.day for e in expected]
    for alarm, plain in zip(found, expected, strict=True):
        t = alarm.table
        assert (t.a, t.b, t.c, t.d) == plain.table
        assert (alarm.cases, alarm.days) == (plain.recent_cases, plain.recent_days)
        assert t.expected == pytest.approx(plain.expected, rel=1e-11)
        assert alarm.expected == pytest.approx(plain.recent_expected, rel=1e-9)
        assert alarm.fired == plain.level
        assert alarm.past_ratio == pytest.approx(plain.own_past_ratio, rel=1e-10)
        assert alarm.statistic == pytest.approx(plain.statistic, rel=1e-8)


def test_the_five_cases_are_those_of_the_published_dates(reports: list[Report]) -> None:
    first = recount(by_day(reports), "RV", "Intussusception")[0]
    assert first.cases == (
        (date(1998, 12, 18), "117590"),
        (date(1999, 2, 11), "118884"),
        (date(1999, 2, 12), "118916"),
        (date(1999, 3, 3), "119684"),
        (date(1999, 3, 3), "119685"),
    )
