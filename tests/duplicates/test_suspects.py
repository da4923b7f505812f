"""Suspected duplicates: found in any order, explained to the bit, and neighbours are kept apart."""

from __future__ import annotations

import random
from datetime import date
from math import log2
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.duplicates.frequencies import Frequencies, band_of
from streams.duplicates.report import Report, likeness, overlap, report_of, sketch_of
from streams.duplicates.score import most, score, score_above
from streams.duplicates.suspects import find, pairs_within
from streams.events import AdverseEvent, ClinicalNote, Patient, Product

WORDS = (
    *("fever", "rash", "cried", "arm", "swollen", "vomited", "after", "dose", "day", "two", "later", "resolved"),
    *("seen", "by", "doctor", "hospital", "mother", "says"),
)
EVENTS = ["fever", "rash", "crying", "oedema", "vomiting", "syncope", "pain", "chills"]


def report(number: int, **fields: Any) -> Report:
    """A report that depends on its number alone."""
    chance = random.Random(number)
    exposure = 727_000 + chance.randrange(700)
    made = Report(
        bucket=number // 4,
        place=("reports", 0, number),
        case_id=f"c{number}",
        products=tuple(sorted(chance.sample(["dtp", "opv", "hib", "mmr"], chance.randint(1, 2)))),
        events=tuple(sorted(chance.sample(EVENTS, chance.randint(1, 4)))),
        age=chance.choice([None, 0.2, 0.4, 1.0, 5.0, 34.0, 61.0]),
        sex=chance.choice("FM"),
        region=chance.choice(["TX", "CA", "NY", ""]),
        exposure=exposure,
        onset=exposure + chance.choice([0, 0, 1, 2, 9]),
        sketch=sketch_of(
            " ".join([*random.Random(number % 5).choices(WORDS, k=number % 40), *chance.choices(WORDS, k=9)])
        ),
    )
    return made._replace(**fields)


REPORTS = [report(number) for number in range(400)]
COPY = REPORTS[100]._replace(bucket=120, place=("other", 1, 7), case_id="x", age=None)
TABLE = Frequencies([*REPORTS, COPY])
numbers = st.integers(0, 399)


@given(numbers, numbers)
def test_the_score_is_symmetric(one: int, other: int) -> None:
    assert score(REPORTS[one], REPORTS[other], TABLE)[:2] == score(REPORTS[other], REPORTS[one], TABLE)[:2]


@given(numbers, numbers, st.tuples(st.floats(-20, 40), st.floats(-20, 20)))
def test_the_short_cut_refuses_nothing_that_reaches_the_threshold(
    one: int, other: int, least: tuple[float, float]
) -> None:
    a, b = REPORTS[one], REPORTS[other]
    found = score(a, b, TABLE)
    reaches = found.bits >= least[0] and found.beside >= least[1]
    ceilings = (most(a, TABLE), most(b, TABLE))
    assert score_above(a, b, TABLE, least, ceilings) == (found if reaches else None)
    assert score_above(a, b, TABLE, (found.bits, found.beside), ceilings) == found


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(chance: random.Random) -> None:
    shuffled = [*REPORTS, COPY]
    chance.shuffle(shuffled)
    table = Frequencies(shuffled)
    assert table.hash == TABLE.hash
    assert find(shuffled, table, 730) == find([*REPORTS, COPY], TABLE, 730)


def test_of_several_equal_scores_the_first_report_is_named() -> None:
    again = COPY._replace(bucket=130, place=("other", 1, 8), case_id="y")
    everything = [again, *REPORTS, COPY]
    found = find(everything, Frequencies(everything), 730)
    assert {suspect.report.case_id: suspect.of.case_id for suspect in found.suspects} == {"x": "c100", "y": "c100"}


def test_a_copy_without_its_age_is_suspected_of_its_original_and_explained() -> None:
    found = find([*REPORTS, COPY], TABLE, 730)
    suspect = next(suspect for suspect in found.suspects if suspect.report == COPY)
    assert suspect.of == REPORTS[100]
    assert suspect.score.bits >= found.least[0]
    assert suspect.score.bits == pytest.approx(sum(field.bits for field in suspect.score.fields), abs=1e-6)
    outcomes = {field.field: field.outcome for field in suspect.score.fields}
    assert (outcomes["age"], outcomes["exposure date"], outcomes["products"]) == ("blank", "hit", "hit")


def test_the_weight_of_each_field_by_hand() -> None:
    """Ten reports: sex F in 4, region TX in 2, the day 1000 in 2, none other within a week of it."""
    ten = [
        Report(
            number, ("r", 0, number), str(number), ("dtp",), sex="F" if number < 4 else "M",
            region="TX" if number < 2 else "CA", exposure=1000 if number < 2 else 2000 + 100 * number,
        )
        for number in range(10)
    ]  # fmt: skip
    weights = {field.field: field for field in score(ten[0], ten[1], Frequencies(ten)).fields}
    sex, region, day = 1 - 0.98**2, 1 - 0.97**2, 0.92**2
    assert weights["sex"].bits == pytest.approx(log2((1 - sex * 0.6) / 0.4))
    assert weights["region"].bits == pytest.approx(log2((1 - region * 0.8) / 0.2))
    near = 1 - day - region  # the exposure date's miss is the region's, 0.03
    assert weights["exposure date"].bits == pytest.approx(log2(day / 0.2 + near / 0.2 + region))
    assert weights["products"].bits == pytest.approx(0)  # everyone has it
    assert [weights[name].bits for name in ("age", "events", "text")] == [0, 0, 0]
    apart = {field.field: field.bits for field in score(ten[0], ten[9], Frequencies(ten)).fields}
    assert apart["sex"] == pytest.approx(log2(sex))
    assert apart["exposure date"] == pytest.approx(log2(region))


def test_neighbours_of_other_age_and_sex_are_no_suspects_however_much_else_agrees() -> None:
    campaign = [
        report(number + 1000, bucket=50, products=("hpv",), events=("syncope",), region="VT", exposure=727_400,
               onset=727_400, age=10.0 + 3 * number, sex="FM"[number % 2], sketch=REPORTS[0].sketch)
        for number in range(6)
    ]  # fmt: skip
    table = Frequencies([*REPORTS, *campaign])
    found = find([*REPORTS, *campaign], table, 730)
    assert not [suspect for suspect in found.suspects if suspect.report in campaign]
    assert max(score(campaign[0], other, table).bits for other in campaign[1:]) > found.least[0]  # no strangers


def test_versions_of_one_case_and_what_lies_beyond_the_horizon_are_no_suspects() -> None:
    version = REPORTS[100]._replace(bucket=120, place=("reports", 1, 7))
    for later, horizon in ((version, 730), (COPY, 10)):
        suspects = find([*REPORTS, later], Frequencies([*REPORTS, later]), horizon).suspects
        assert later not in [suspect.report for suspect in suspects]


def test_a_term_that_goes_with_one_before_it_adds_little() -> None:
    reports = [
        Report(n, ("r", 0, n), str(n), ("dtp",), ("chills", "fever") if n < 10 else ("pain",)) for n in range(1000)
    ]
    chills, fever = Frequencies(reports).chain([("event", "fever"), ("event", "chills")])
    assert chills == 0.01
    assert fever == pytest.approx((10 + 5 * 0.01) / 15)  # always with chills, less 5 reports of doubt


def test_a_report_is_taken_from_what_was_sent() -> None:
    sent = AdverseEvent(
        "7", [Product("OPV"), Product(" dtp")], ["Rash", "fever", "FEVER"], patient=Patient(0.5, "U", None),
        exposure_date=date(1, 1, 5), narrative="too short",
    )  # fmt: skip
    made = report_of(sent, 3, ("t", 0, 1))
    assert made == Report(3, ("t", 0, 1), "7", ("dtp", "opv"), ("fever", "rash"), 0.5, "", "", 5, None, ())
    assert report_of(ClinicalNote("8", "A fever of 39 after the second dose of DTP."), 3, ("t", 0, 1)).sketch


def test_texts_are_alike_by_the_runs_of_words_that_they_share() -> None:
    text = " ".join(f"word{number}" for number in range(22))  # 20 runs of three
    other = text.replace("word21", "else")  # changes the last run: 19 of 21
    assert likeness(sketch_of(text), sketch_of(other)) == pytest.approx(19 / 21)
    assert likeness(sketch_of(text), sketch_of(text.upper() + "!")) == 1
    assert (likeness((1, 2), (3,)), overlap(("a", "b"), ("b", "c"))) == (0, pytest.approx(1 / 3))
    assert [band_of(x) for x in (0.0, 0.1, 0.59, 0.6, 1.0)] == [0, 1, 2, 3, 4]


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 10))
def test_pairs_within_the_horizon_are_counted(buckets: list[int], horizon: int) -> None:
    ordered = [Report(bucket, ("t", 0, n), str(n)) for n, bucket in enumerate(sorted(buckets))]
    pairs = [(a, b) for a in ordered for b in ordered if a.place < b.place and b.bucket - a.bucket <= horizon]
    assert pairs_within(ordered, horizon) == len(pairs)
