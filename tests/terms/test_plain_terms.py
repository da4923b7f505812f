"""Spans to terms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.terms.plain import MAX_CHARACTERS, drug_term, event_term


@pytest.mark.parametrize(
    "span", ["Grand mal seizures", "grand  mal seizure.", "(Grand mal\nSEIZURES)", "a grand mal seizure"]
)
def test_spellings_of_one_event_are_one_term(span: str) -> None:
    assert event_term(span) == "grand mal seizure"


@pytest.mark.parametrize(
    ("span", "term"),
    [
        ("rashes", "rash"),
        ("neuropathies", "neuropathy"),
        ("diabetes", "diabetes"),
        ("Stevens-Johnson syndrome", "stevens-johnson syndrome"),
        ("Stevens - Johnson syndrome", "stevens-johnson syndrome"),
        ("nephrosis", "nephrosis"),
        ("jaundice", "jaundice"),
        ("tinnitus", "tinnitus"),
        ("weakness", "weakness"),
        ("12", None),
        ("", None),
    ],
)
def test_the_last_word_of_an_event_is_in_the_singular(span: str, term: str | None) -> None:
    assert event_term(span) == term


@pytest.mark.parametrize(
    ("span", "term"),
    [("Naproxen 250 mg", "naproxen"), ("interferon alfa-2b", "interferon alfa-2b"), ("5-FU", "5-fu"), ("%", None)],
)
def test_a_dose_is_no_part_of_a_drug(span: str, term: str | None) -> None:
    assert drug_term(span) == term


@given(st.text(max_size=400))
def test_a_term_of_a_term_is_itself(span: str) -> None:
    for make in (drug_term,):
        term = make(span)
        assert term is None or make(term) == term


@given(st.text(max_size=400))
def test_a_term_has_a_letter_and_bounded_length_and_no_outer_space(span: str) -> None:
    for term in (drug_term(span), event_term(span)):
        if term is not None:
            assert term == term.strip()
            assert 0 < len(term) <= MAX_CHARACTERS
            assert any(c.isalpha() for c in term)
