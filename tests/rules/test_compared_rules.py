"""Rules that compare with a past: at which case they fire, recounted by hand from the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.rule import rule_of
from streams.detect.totals import BucketTotals
from streams.rules.book import Findings, RuleBook
from streams.rules.finding import Finding, Past
from streams.signals.tables import chi_squared, prr

from .rule_cases import START, case, monitor


def found(cases: Sequence[Contribution], rules: dict[str, Any], **alarms: Any) -> list[tuple[int, Finding]]:
    """(day, finding) of every close, as the desk makes them, without a store."""
    watched = monitor(rules=rules, **alarms)
    detector, book = Detector.restore(rule_of(watched)), RuleBook(watched, {})
    by_bucket: dict[int, list[Contribution]] = {}
    for one in cases:
        by_bucket.setdefault(one.received_at // watched.bucket_ms, []).append(one)
    result = []
    for bucket, entries in sorted(by_bucket.items()):
        evaluation = detector.evaluate(BucketTotals.of(bucket, entries))
        delta = detector.delta(evaluation, detector.judge(evaluation, {}))
        facts, first = book.facts(bucket, entries), min(by_bucket)
        now = [
            finding
            for finding in book.evaluate(evaluation.view, facts, delta.memory.prior, first=first)
            if book.settled(finding, having(by_bucket, bucket, finding), bucket=bucket, first=first)
        ]
        book.advance(Findings(facts, now), {f.key: Past("", bucket, f.table.a) for f in now})
        detector.advance(delta)
        result += [(bucket - START, finding) for finding in now]
    return result


def having(by_bucket: dict[int, list[Contribution]], until: int, finding: Finding) -> list[int]:
    return [
        bucket
        for bucket, entries in by_bucket.items()
        for one in entries
        if bucket <= until and finding.drug in one.drugs and finding.event in one.events
    ]


def background(days: int, drug: str = "Common", event: str = "Fever", number: int = 0) -> list[Contribution]:
    return [case(number + day, day, drug, event) for day in range(days)]


def table(stream: Sequence[Contribution], until: int, drug: str, event: str) -> dict[str, int]:
    """The cells of a pair up to a day, counted one by one."""
    counts = Counter(
        (drug in c.drugs, event in c.events) for c in stream if c.received_at // 86_400_000 - START <= until
    )
    return {"a": counts[True, True], "b": counts[True, False], "c": counts[False, True], "d": counts[False, False]}


def test_evans_fires_when_a_recount_does_and_again_when_the_cases_have_doubled() -> None:
    stream = background(40) + [case(100 + day, day, "Other", "Fever") for day in range(40)]
    stream += [case(200 + day, day, "Rare", "Rash") for day in range(10, 30)]
    stream += [case(300 + day, day, "Rare", "Fever") for day in range(10)]
    stream += [case(400 + day, day, "Common", "Rash") for day in (0, 1)]  # else PRR is undefined
    expected: list[tuple[int, float, float]] = []
    for day in range(10, 30):
        t = table(stream, day, "Rare", "Rash")
        ratio, chi2 = prr(**t).estimate, chi_squared(**t)
        meets = ratio is not None and chi2 is not None and t["a"] >= 3 and ratio >= 2 and chi2 >= 4
        if meets and (not expected or t["a"] >= 2 * expected[-1][1]):
            expected.append((day, t["a"], ratio or 0))
    fired = [(day, f) for day, f in found(stream, {"evans": {}}) if (f.drug, f.event) == ("Rare", "Rash")]
    assert len(expected) == 3
    assert [(day, f.table.a, pytest.approx(f.statistic)) for day, f in fired] == expected
    assert [f.status for _, f in fired] == ["new", "update", "update"]


def test_a_threshold_is_silent_in_the_burn_in_and_where_its_table_is_off() -> None:
    stream = background(40) + [case(200 + day, day, "Rare", "Rash") for day in range(10, 24)]
    days = [day for day, _ in found(stream, {kind: {} for kind in ("ic025", "ror", "evans")})]
    assert days[0] < 23
    assert found(stream, {"ic025": {}}, burn_in=23)[0][0] == 23
    assert found(stream, {"ic025": {"on": False}, "ror": {"on": False}}) == []


def test_a_pair_is_new_with_its_third_case_if_none_was_before() -> None:
    stream = background(300) + [case(400 + i, day, "Rare", "Rash") for i, day in enumerate((100, 150, 200, 201))]
    (alert,) = found(stream, {"new_pair": {}}, burn_in=50)
    assert (alert[0], alert[1].drug, alert[1].event, alert[1].statistic) == (200, "Rare", "Rash", 3)


@pytest.mark.parametrize(("days", "burn_in"), [((10, 100, 101), 50), ((60, 243, 244), 50)])
def test_a_pair_of_the_burn_in_or_of_long_ago_is_not_new(days: tuple[int, ...], burn_in: int) -> None:
    stream = background(300) + [case(400 + i, day, "Rare", "Rash") for i, day in enumerate(days)]
    assert found(stream, {"new_pair": {}}, burn_in=burn_in) == []


def test_a_drug_that_is_reported_more_than_before_rises_once_a_span() -> None:
    stream = background(430) + [case(1000 + day, day, "Drug", f"Event {day % 7}") for day in range(0, 430, 7)]
    stream += [case(2000 + i, day, "Drug", f"Event {i % 7}") for i, day in enumerate(list(range(380, 420)) * 2)]
    rises = found(stream, {"rate_rise": {}})
    assert {f.drug for _, f in rises} == {"Drug"}
    days = [day for day, _ in rises]
    assert 380 < days[0] < 390
    assert all(later - earlier >= 28 for earlier, later in pairwise(days))
    first = rises[0][1]
    recent = sum("Drug" in c.drugs and days[0] - 28 < c.received_at // 86_400_000 - START <= days[0] for c in stream)
    assert (first.statistic, first.count, first.event) == (recent, recent, "*")
    assert first.statistic > first.threshold > first.table.expected


def test_a_drug_that_grows_with_everything_else_does_not_rise() -> None:
    stream = [
        case(10 * day + i, day, ("Drug", "Common", "Other", "More")[i % 4], "Fever")
        for day in range(120)
        for i in range(4 if day < 110 else 8)
    ]
    assert found(stream, {"rate_rise": {"days": 7}}) == []
