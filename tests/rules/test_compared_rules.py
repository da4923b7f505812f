"""Rules that compare with a past: at which case they fire, recounted by hand from the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import comb, log2, log10
from typing import Any

import pytest

from streams.detect.contribution import Contribution
from streams.detect.reference import ReferenceWindow
from streams.detect.totals import BucketTotals
from streams.events import Lot
from streams.rules.book import Findings, RuleBook
from streams.rules.finding import Finding, Past, Situated
from streams.signals.gps import Prior, posterior, quantile
from streams.signals.tables import chi_squared, prr

from .rule_cases import START, case, monitor


def found(
    cases: Sequence[Contribution], rules: dict[str, Any], prior: Prior | None = None, **alarms: Any
) -> list[tuple[int, Finding]]:
    """(day, finding) of every close, as the desk makes them, without a store and without the signal."""
    watched = monitor(rules=rules, **alarms)
    window, book = ReferenceWindow(width=730, strata=5), RuleBook(watched, {})
    by_bucket: dict[int, list[Contribution]] = {}
    for one in cases:
        by_bucket.setdefault(one.received_at // watched.bucket_ms, []).append(one)
    result = []
    for bucket, entries in sorted(by_bucket.items()):
        totals = BucketTotals.of(bucket, entries)
        facts, first = book.facts(bucket, entries), min(by_bucket)
        now = []
        for finding in book.evaluate(window.view(totals), facts, prior, first=first):
            known = finding.cases if finding.cases is not None else having(by_bucket, bucket, finding)
            belonging = [(at, one) for at, one in known if book.belongs(finding, one)]
            settled = book.settled(finding, belonging, bucket=bucket, first=first)
            now += [] if settled is None else [settled]
        book.advance(Findings(facts, now), {f.key: Past("", bucket, f.table.a) for f in now})
        window.advance(totals)
        result += [(bucket - START, finding) for finding in now]
    return result


def having(by_bucket: dict[int, list[Contribution]], until: int, finding: Finding) -> list[Situated]:
    drug, event = finding.pair
    return [
        (bucket, one)
        for bucket, entries in by_bucket.items()
        for one in entries
        if bucket <= until and drug in one.drugs and event in one.events
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


def test_eb05_fires_when_the_quantile_of_a_recount_does_and_never_without_a_prior() -> None:
    prior = Prior(0.2, 0.06, 1.4, 1.8, 0.1)
    stream = background(60) + [case(200 + day, day, "Rare", "Rash") for day in range(10, 40)]
    stream += [case(300 + day, day, "Common", "Rash") for day in range(5)]
    stream += [case(400 + i, i % 60, "Common", "Fever") for i in range(300)]
    quantiles = []
    for day in range(10, 40):
        t = table(stream, day, "Rare", "Rash")
        expected = (t["a"] + t["b"]) * (t["a"] + t["c"]) / sum(t.values())
        quantiles.append(quantile(posterior(n=t["a"], expected=expected, prior=prior), 0.05))
    first = next(day for day, bound in enumerate(quantiles, start=10) if bound >= 2)
    fired = [(day, f) for day, f in found(stream, {"eb05": {}}, prior) if f.drug == "Rare"]
    assert (fired[0][0], fired[0][1].statistic) == (first, pytest.approx(quantiles[first - 10]))
    assert found(stream, {"eb05": {}}) == []


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


def lots(lot: str | None, maker: str | None = None) -> dict[str, Any]:
    return {"lots": (Lot("Drug", lot, maker),)}


def test_a_lot_with_more_of_an_event_than_the_drugs_other_lots_is_named() -> None:
    stream = [case(day, day, "Drug", "Fever", **lots(f"L{day % 4}", "Makers")) for day in range(80)]
    stream += [case(100 + day, day, "Drug", "Abscess", **lots("L1" if day > 50 else "L0", "Makers")) for day in (3, 61)]
    stream += [case(200 + i, 62 + i, "Drug", "Abscess", **lots("L1", "Makers")) for i in range(6)]
    stream += [case(300 + i, 62 + i, "Other", "Abscess") for i in range(6)]
    fired = found(stream, {"lot_cluster": {"p": 1e-3}})
    assert {(f.kind, f.drug, f.event) for _, f in fired} == {("lot_cluster", "Drug", "Abscess")}
    day, first = fired[0]
    assert dict(first.detail) == {"lot": "L1"}
    inside = [c for c in stream if c.drugs == ("Drug",) and c.received_at // 86_400_000 - START <= day]
    n = sum(c.facts.lots[0].lot == "L1" for c in inside if c.facts)
    m = sum("Abscess" in c.events for c in inside)
    a = sum("Abscess" in c.events and c.facts.lots[0].lot == "L1" for c in inside if c.facts)
    tail = sum(comb(m, k) * comb(len(inside) - m, n - k) for k in range(a, min(n, m) + 1)) / comb(len(inside), n)
    assert (first.table.a, first.table.b, first.table.c) == (a, n - a, m - a)
    assert first.measures["fisher_p"] == pytest.approx(tail)
    assert first.statistic == pytest.approx(-log10(tail))
    assert a >= 3
    assert tail <= 1e-3


def test_a_maker_is_a_cluster_too_and_one_lot_alone_is_none() -> None:
    stream = [case(day, day, "Drug", "Fever", **lots(None, "AB"[day % 2])) for day in range(80)]
    stream += [case(100 + i, 60 + i, "Drug", "Abscess", **lots(None, "A")) for i in range(8)]
    fired = found(stream, {"lot_cluster": {"p": 0.01, "ratio": 1.5}})
    assert [dict(f.detail) for _, f in fired][:1] == [{"manufacturer": "A"}]
    alone = [case(day, day, "Drug", "Abscess", **lots("L1")) for day in range(20)]
    assert found(alone, {"lot_cluster": {}}) == []


@pytest.mark.parametrize("measure", ["omega", "chi"])
def test_two_drugs_interact_when_their_risks_do_more_than_add_up(measure: str) -> None:
    stream = [case(day, day, "Common", "Rash" if day % 20 == 0 else "Fever") for day in range(200)]
    for i, drug in enumerate(("Ain", "Bin")):  # each by itself: 1 in 10
        stream += [case(1000 * (i + 1) + d, d, drug, "Rash" if d % 10 == 0 else "Fever") for d in range(150)]
    stream += [case(5000 + d, d, "Ain+Bin", "Rash" if d % 2 else "Fever") for d in range(100, 140)]
    stream += [case(6000 + d, d, "Ain+Common", "Rash" if d % 10 == 0 else "Fever") for d in range(150)]
    fired = found(stream, {"interaction": {"measure": measure}})
    assert {(f.drug, f.event) for _, f in fired} == {("Ain + Bin", "Rash")}
    day, first = fired[0]
    assert dict(first.detail) == {"first": "Ain", "second": "Bin"}
    groups: Counter[tuple[bool, bool, bool]] = Counter(
        ("Ain" in c.drugs, "Bin" in c.drugs, "Rash" in c.events)
        for c in stream
        if c.received_at // 86_400_000 - START <= day
    )
    odds = {
        (one, two): groups[one, two, True] / groups[one, two, False]
        for one, two in ((True, False), (False, True), (False, False))
    }
    none, one, two = odds[False, False], odds[True, False], odds[False, True]
    both = groups[True, True, True] + groups[True, True, False]
    expected = both * (1 - 1 / (max(none, one) + max(none, two) - none + 1))
    assert first.table.expected == pytest.approx(expected)
    assert first.measures["omega"] == pytest.approx(log2((groups[True, True, True] + 0.5) / (expected + 0.5)))


def test_risks_that_add_up_are_no_interaction() -> None:
    stream = [case(d, d, "Common", "Rash" if d % 20 == 0 else "Fever") for d in range(200)]
    for i, drug in enumerate(("Ain", "Bin")):
        stream += [case(1000 * (i + 1) + d, d, drug, "Rash" if d % 5 == 0 else "Fever") for d in range(150)]
    stream += [case(5000 + d, d, "Ain+Bin", "Rash" if d % 3 == 0 else "Fever") for d in range(100, 150)]
    assert found(stream, {"interaction": {}}) == []


def test_a_pair_that_a_dominant_drug_hides_is_found_without_its_reports() -> None:
    stream = [case(d, d, "Masker", "Bleeding") for d in range(150)]
    stream += [case(1000 + d, d, "Common", "Bleeding" if d in (3, 80) else "Fever") for d in range(150)]
    stream += [case(2000 + d, d, "Common", "Fever") for d in range(150)]
    stream += [case(3000 + d, d, "Hidden", "Bleeding" if d % 4 == 0 else "Fever") for d in range(100, 140)]
    fired = found(stream, {"masking": {}, "evans": {}})
    hidden = [(day, f) for day, f in fired if (f.drug, f.event) == ("Hidden", "Bleeding")]
    assert {f.kind for _, f in hidden} == {"masking"}, "Evans' rule alone does not see it"
    day, first = hidden[0]
    assert dict(first.detail) == {"masked by": "Masker"}
    without = table([c for c in stream if "Masker" not in c.drugs], day, "Hidden", "Bleeding")
    assert {"a": first.table.a, "b": first.table.b, "c": first.table.c, "d": first.table.d} == without
    assert first.statistic == pytest.approx(prr(**without).estimate)
    masked = prr(**table(stream, day, "Hidden", "Bleeding")).estimate
    assert masked is not None
    assert masked < 2
    assert first.measures["prr_masked"] == pytest.approx(masked)


def test_onsets_that_cluster_after_the_dose_have_a_shape_below_one() -> None:
    stream = background(60)
    stream += [case(100 + d, d, "Drug", "Rash", onset_days=(d % 3 if d % 5 else 40)) for d in range(60)]
    fired = found(stream, {"onset": {}})
    assert [day for day, _ in fired] == [19, 39], "with 20 cases, and with 40"
    first = fired[0][1]
    assert dict(first.detail) == {"pattern": "early"}
    upper = first.measures["onset_shape_upper"]
    assert upper is not None
    assert first.statistic == pytest.approx(1 / upper)
    assert first.statistic > 1
    assert found(stream, {"onset": {"patterns": ["late"]}}) == []
