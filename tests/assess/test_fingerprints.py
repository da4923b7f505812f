"""Fingerprints: what makes two reports one, what keeps them apart, and the count on the real reports."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.assess.fingerprints import Fingerprints, normalised_text
from streams.errors import ConfigurationError
from streams.events import AdverseEvent, ClinicalNote, Patient, Product
from streams.intake import received_at_ms
from streams.intake.vaers import read_vaers

TEXT = "Patient developed a fever of 39.4 and a rash two days after the dose."
PRINTS = Fingerprints(b"secret")


def report(**fields: Any) -> AdverseEvent:
    return replace(
        AdverseEvent(
            case_id="1",
            products=[Product("DTP"), Product("OPV", "concomitant")],
            events=["Pyrexia", "Rash"],
            patient=Patient(age_years=0.5, sex="F", region="TX"),
            exposure_date=date(1995, 3, 1),
            onset_date=date(1995, 3, 3),
            narrative=TEXT,
        ),
        **fields,
    )


def kinds(prints: list[str]) -> list[str]:
    return [fingerprint.partition(":")[0] for fingerprint in prints]


def test_a_full_report_has_both_kinds() -> None:
    prints = PRINTS.of(report())
    assert kinds(prints) == ["text", "report"]
    assert all(len(fingerprint.partition(":")[2]) == 32 for fingerprint in prints)


@pytest.mark.parametrize(
    "same",
    [
        {"case_id": "2"},
        {"version": 3},
        {"received_at": 1},
        {"serious": True},
        {"products": [Product("opv"), Product(" dtp ", "interacting"), Product("DTP")]},
        {"events": ["rash", "PYREXIA", "Rash"]},
        {"narrative": TEXT.upper().replace(" ", "  ").replace(".", ";")},
    ],
)
def test_what_is_typed_again_stays_the_same(same: dict[str, Any]) -> None:
    assert PRINTS.of(report(**same)) == PRINTS.of(report())


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ({"products": [Product("DTP")]}, []),
        ({"patient": Patient(age_years=0.6, sex="F", region="TX")}, []),
        ({"patient": Patient(age_years=0.5, sex="M", region="TX")}, []),
        ({"exposure_date": date(1995, 3, 2)}, []),
        ({"patient": Patient(age_years=0.5, sex="F", region="CA")}, ["text"]),
        ({"onset_date": None}, ["text"]),
        ({"events": ["Pyrexia", "Rash", "Pain"]}, ["text"]),
        ({"narrative": TEXT + " Recovered."}, ["report"]),
    ],
)
def test_each_field_keeps_those_apart_that_it_should(other: dict[str, Any], shared: list[str]) -> None:
    common = set(PRINTS.of(report())) & set(PRINTS.of(report(**other)))
    assert kinds(sorted(common)) == shared


@pytest.mark.parametrize(
    ("sparse", "left"),
    [
        ({"narrative": None}, ["report"]),
        ({"narrative": "See attached."}, ["report"]),
        ({"narrative": "!" * 80}, ["report"]),
        ({"events": ["Rash"]}, ["text"]),
        ({"events": ["Rash", "rash"]}, ["text"]),
        ({"exposure_date": None}, ["text"]),
        ({"patient": Patient(sex="F", region="TX")}, ["text"]),
        ({"patient": Patient(), "narrative": None}, []),
    ],
)
def test_reports_that_say_little_are_not_taken_for_one_another(sparse: dict[str, Any], left: list[str]) -> None:
    assert kinds(PRINTS.of(report(**sparse))) == left


def test_a_note_has_its_text_alone() -> None:
    assert kinds(PRINTS.of(ClinicalNote(case_id="n", text=TEXT))) == ["text"]
    assert PRINTS.of(ClinicalNote(case_id="n", text="Seen today.")) == []


def test_the_hash_depends_on_the_key_and_shows_nothing_of_the_report() -> None:
    assert not set(PRINTS.of(report())) & set(Fingerprints(b"other").of(report()))
    assert "DTP" not in "".join(PRINTS.of(report()))


@pytest.mark.parametrize("key", [b"", b"x" * 65])
def test_a_key_that_blake2b_does_not_take_is_refused(key: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Fingerprints(key)


def test_fields_that_run_into_each_other_are_kept_apart() -> None:
    one = report(narrative=None, patient=Patient(age_years=1.0, sex="F", region="A"), events=["B", "C"])
    two = report(narrative=None, patient=Patient(age_years=1.0, sex="F", region="A\x1eB"), events=["C", "D"])
    assert PRINTS.of(one) != PRINTS.of(two)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalised_text(text)
    assert normalised_text(once) == once


@given(st.text(st.characters(codec="ascii")))
def test_the_fast_way_for_ascii_gives_what_the_other_gives(text: str) -> None:
    assert normalised_text(text) == normalised_text(text + " é").removesuffix("é").rstrip()


def test_on_the_reports_of_1990_to_2000_the_two_keys_find_1216_duplicates(shared_data: Path) -> None:
    """The count of the notes on signals: 1,216 of 111,014, within 730 days, losers holding keys too."""
    years = [shared_data / "vaers_1990_2006" / f"{year}VAERSData.zip" for year in range(1990, 2001)]
    newest: dict[str, int] = {}
    reports = duplicates = 0
    for message in read_vaers(years, start=None, end=None, on_problem=lambda _: None):
        assert isinstance(message, AdverseEvent)
        day = received_at_ms(message, 10**13) // 86_400_000
        prints = PRINTS.of(message)
        reports += 1
        duplicates += any(day - newest[p] <= 730 for p in prints if p in newest)
        newest.update(dict.fromkeys(prints, day))
    assert (reports, duplicates) == (111_014, 1_216)
