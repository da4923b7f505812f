"""Statuses of alarms: the first that fits, in a bucket by falling ratio."""

from __future__ import annotations

import pytest

from streams.detect.alarms import Alarm, Alerted, Firing, PairKey, Reading, judge
from streams.detect.contribution import Contribution
from streams.detect.reference import ReferenceWindow
from streams.detect.totals import BucketTotals
from streams.signals.rule import AlarmRule

MICRO = 1_000_000
RULE = AlarmRule(strata=1, listed=frozenset({("a", "listed")}), non_reactions=frozenset({"none", "listed"}))
CASE = Contribution(("t", 0, 0), 0, "1", 1, 0, ("A", "B", "C"), ("Listed", "None", "ill"), (MICRO,) * 3)


def firing(drug: str, event: str, ratio: float, strong: float = 0.0) -> Firing:
    return Firing(drug, event, Reading(100.0, 95.2), Reading(strong, 95.2), ratio, 1.0, 3, 0, 1.0, 3.0)


def statuses(
    fired: list[Firing],
    alerted: dict[PairKey, Alerted] | None = None,
    cases: dict[PairKey, list[tuple[str, ...]]] | None = None,
) -> dict[PairKey, str]:
    view = ReferenceWindow(width=730, strata=1).view(BucketTotals.of(9, [CASE]))
    alarms, _ = judge(fired, view=view, alerted=alerted or {}, cases=cases or {}, prior=None, rule=RULE)
    return {(a.drug, a.event): a.status for a in alarms}


def test_listed_comes_before_non_reaction_and_ignores_case() -> None:
    found = statuses([firing("A", "Listed", 9), firing("B", "Listed", 8), firing("A", "None", 7)])
    assert found == {("A", "Listed"): "listed", ("B", "Listed"): "non_reaction", ("A", "None"): "non_reaction"}


def test_a_pair_that_never_alerted_is_new_and_later_an_update() -> None:
    assert statuses([firing("A", "ill", 9)]) == {("A", "ill"): "new"}
    assert statuses([firing("A", "ill", 9)], {("A", "ill"): Alerted(1, 1, 5.0)}) == {("A", "ill"): "update"}


@pytest.mark.parametrize(
    ("shared", "alone", "status"), [(1, 1, "bystander"), (2, 1, "bystander"), (1, 2, "new"), (0, 0, "new")]
)
def test_half_of_the_cases_with_a_stronger_alerted_product_make_a_bystander(
    shared: int, alone: int, status: str
) -> None:
    cases = {("B", "ill"): [("A", "B")] * shared + [("B", "C")] * alone}
    assert statuses([firing("B", "ill", 5)], {("A", "ill"): Alerted(1, 1, 9.0)}, cases)["B", "ill"] == status


def test_a_product_with_a_lower_ratio_or_another_event_makes_no_bystander() -> None:
    cases = {("B", "ill"): [("A", "B")]}
    for alerted in ({("A", "ill"): Alerted(1, 1, 4.0)}, {("A", "None"): Alerted(1, 1, 9.0)}):
        assert statuses([firing("B", "ill", 5)], alerted, cases) == {("B", "ill"): "new"}


def test_the_stronger_of_two_products_of_one_bucket_is_judged_first() -> None:
    cases: dict[PairKey, list[tuple[str, ...]]] = {("A", "ill"): [("A", "B")], ("B", "ill"): [("A", "B")]}
    fired = [firing("B", "ill", 5), firing("A", "ill", 9)]
    assert statuses(fired, cases=cases) == {("A", "ill"): "new", ("B", "ill"): "bystander"}
    assert list(statuses(fired, cases=cases)) == [("A", "ill"), ("B", "ill")]


def test_being_a_bystander_comes_before_being_an_update() -> None:
    alerted = {("A", "ill"): Alerted(1, 1, 9.0), ("B", "ill"): Alerted(1, 1, 5.0)}
    assert statuses([firing("B", "ill", 5)], alerted, {("B", "ill"): [("A", "B")]}) == {("B", "ill"): "bystander"}


def judged(fire: Firing, before: Alerted | None) -> tuple[Alarm, Alerted]:
    view = ReferenceWindow(width=730, strata=1).view(BucketTotals.of(9, [CASE]))
    alerted = {} if before is None else {(fire.drug, fire.event): before}
    alarms, remembered = judge([fire], view=view, alerted=alerted, cases={}, prior=None, rule=RULE)
    return alarms[0], remembered[fire.drug, fire.event]


def test_the_level_rises_from_early_to_strong_and_never_falls_again() -> None:
    early, after = judged(firing("A", "ill", 9), None)
    assert (early.level, early.statistic, early.status) == ("early", 100, "new")
    strong, then = judged(firing("A", "ill", 9, strong=96), after)
    assert (strong.level, strong.fired, strong.statistic, strong.status) == ("strong", "strong", 96, "update")
    again, kept = judged(firing("A", "ill", 9), then)
    assert (again.level, again.fired, again.statistic) == ("strong", "early", 100)
    assert kept.level == "strong"
    assert again.measures["strong_statistic"] == 0


def test_an_alarm_carries_all_that_its_statistic_was_compared_with() -> None:
    view = ReferenceWindow(width=730, strata=1).view(BucketTotals.of(9, [CASE]))
    (alarm,), remembered = judge(
        [firing("A", "ill", 9)],
        view=view,
        alerted={},
        cases={},
        prior=None,
        rule=RULE,
    )
    assert (alarm.statistic, alarm.threshold, alarm.cases, alarm.expected, alarm.days) == (100, 95.2, 9, 1, 3)
    assert alarm.measures["recent_cases"] == 9
    assert alarm.measures["effect_bound"] == 3
    assert (alarm.table.a, alarm.table.b, alarm.table.c, alarm.table.d) == (1, 0, 0, 0)
    assert remembered == {("A", "ill"): Alerted(9, 9, 9.0)}
