"""What rules ask of a case, and how complete it is: from the message alone, nothing that names anyone."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from streams.assess.facts import completeness, facts_of
from streams.events import AdverseEvent, CaseFacts, ClinicalNote, Lot, Patient, Product

FULL: dict[str, Any] = {
    "patient": Patient(34.9, "F", "CA"),
    "exposure_date": date(1999, 3, 1),
    "onset_date": date(1999, 3, 4),
    "outcome": "recovered",
    "narrative": "Fever.",
}


def facts(**fields: Any) -> CaseFacts:
    return facts_of(AdverseEvent("1", [Product("A")], **fields), str.lower, blamed=("suspect",))


def test_a_full_report_is_complete_and_each_missing_field_costs_its_penalty() -> None:
    assert facts(**FULL) == CaseFacts(None, False, 34, 3, 100, True)
    costs = {
        "exposure_date": 50, "onset_date": 50, "outcome": 70, "narrative": 90,
    }  # fmt: skip
    assert {name: facts(**{**FULL, name: None}).completeness for name in costs} == costs
    assert facts(**{**FULL, "patient": Patient()}).completeness == round(100 * 0.7 * 0.7 * 0.9)
    assert completeness(["onset", "sex", "age", "outcome", "region", "text"]) == pytest.approx(0.5 * 0.343 * 0.81)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (None, False)),
        ({"serious": False}, (False, False)),
        ({"serious": True}, (True, False)),
        ({"serious": False, "seriousness": ["other"]}, (True, False)),
        ({"seriousness": ["death"]}, (True, True)),
        ({"serious": False, "outcome": "fatal"}, (True, True)),
        ({"outcome": "recovered"}, (None, False)),
    ],
)
def test_a_criterion_or_a_death_makes_a_case_serious(fields: dict[str, Any], expected: tuple[Any, bool]) -> None:
    found = facts(**fields)
    assert (found.serious, found.fatal) == expected


def test_an_onset_before_the_exposure_is_none_and_old_ages_are_grouped() -> None:
    found = facts(exposure_date=date(1999, 3, 4), onset_date=date(1999, 3, 1), patient=Patient(104.0))
    assert (found.onset_days, found.age) == (None, 90)


def test_lots_are_those_of_blamed_products_under_the_name_that_counts() -> None:
    products = [
        Product("Beta", lot="2", manufacturer="M"),
        Product("Beta", lot="1"),
        Product("Gamma", "concomitant", lot="9"),
        Product("Alpha"),
    ]
    found = facts_of(AdverseEvent("1", products), str.lower, blamed=("suspect",))
    assert found.lots == (Lot("beta", "1"), Lot("beta", "2", "M"))


def test_a_note_has_an_age_and_a_text() -> None:
    found = facts_of(ClinicalNote("1", "text", patient=Patient(3.2, "M")), str, blamed=())
    assert (found.serious, found.fatal, found.age, found.narrative) == (None, False, 3, True)
