"""Sentences of notes, narratives and abstracts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.assess.sentences import MAX_CHARACTERS, sentence_ranges, sentences_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\n ", []),
        ("Rash after amoxicillin.", ["Rash after amoxicillin."]),
        ("He had a rash. It went away.", ["He had a rash.", "It went away."]),
        ("Was it the drug? We think so!", ["Was it the drug?", "We think so!"]),
        ("Dr. Smith saw Mr. J. Doe on Tue. He was well.", ["Dr. Smith saw Mr. J. Doe on Tue. He was well."]),
        ("She took 2.5 mg b.i.d. for a week.", ["She took 2.5 mg b.i.d. for a week."]),
        ("Hepatitis occurred (see Fig. 2). It resolved.", ["Hepatitis occurred (see Fig. 2).", "It resolved."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("METHODS: We report two cases.", ["METHODS: We report two cases."]),
        ("A t(8;16)(p11;p13) translocation was found.", ["A t(8;16)(p11;p13) translocation was found."]),
        ("2. Before this, it was unknown.", ["2. Before this, it was unknown."]),
    ],
)
def test_prose_is_cut_at_its_stops_and_nowhere_else(text: str, expected: list[str]) -> None:
    assert sentences_of(text) == expected


def test_a_heading_a_list_item_and_a_short_line_stand_for_themselves() -> None:
    note = (
        "CHIEF COMPLAINT\n\nAnnual exam.\n\nMedications:\n• Lisinopril 20 mg\n- Aspirin\n1. Metformin\n\nROS\nNo fever"
    )
    assert sentences_of(note) == [
        "CHIEF COMPLAINT", "Annual exam.", "Medications:", "Lisinopril 20 mg", "Aspirin", "Metformin", "ROS",
        "No fever",
    ]  # fmt: skip


def test_a_line_that_was_wrapped_goes_on() -> None:
    note = "The patient developed a severe maculopapular rash two days after she had\nstarted amoxicillin."
    assert len(sentence_ranges(note)) == 1


def test_a_telegram_is_cut_at_semicolons_without_a_space() -> None:
    narrative = "pt exp fever 103, weakness & anorexia;17DEC pt exp confusion; no rash;pt recovered;"
    assert sentences_of(narrative) == [
        "pt exp fever 103, weakness & anorexia", "17DEC pt exp confusion; no rash", "pt recovered;",
    ]  # fmt: skip


def test_windows_line_ends_are_line_ends() -> None:
    assert sentences_of("PLAN:\r\n- Stop it.\r\n- See us.\r\n") == ["PLAN:", "Stop it.", "See us."]


_TEXT = st.text(st.sampled_from("aB1.;:!?-•() \n\t\"'é漢") | st.characters(codec="utf-8"), max_size=400)


@given(_TEXT)
def test_ranges_are_ordered_disjoint_trimmed_and_not_empty(text: str) -> None:
    end = 0
    for start, stop in sentence_ranges(text):
        assert end <= start < stop <= len(text)
        assert text[start:stop] == text[start:stop].strip()
        end = stop


@given(_TEXT)
def test_no_letter_is_lost(text: str) -> None:
    kept = "".join(sentences_of(text))
    assert re.findall(r"[^\W\d_]{2,}", kept.replace(" ", "")) is not None
    lost = [c for c in set(text) if c.isalpha() and c not in "aobo" and text.count(c) > kept.count(c)]
    assert all(len(c) == 1 and c.isascii() and c.islower() for c in lost)  # a bullet like "c)" is all that may go


@given(st.text(st.sampled_from("ab "), min_size=1000, max_size=5000))
def test_no_sentence_is_longer_than_the_bound(text: str) -> None:
    assert all(stop - start <= MAX_CHARACTERS for start, stop in sentence_ranges(text))


def test_a_megabyte_without_a_stop_is_cut_in_bounded_time() -> None:
    parts = sentence_ranges("x" * 1_000_000)
    assert len(parts) == 1_000_000 // MAX_CHARACTERS


def test_sentences_of_abstracts_survive_being_joined(shared_data: Path) -> None:
    from training.data import load_ade

    documents: dict[str, list[str]] = {}
    for sentence in load_ade(shared_data / "ade_corpus_v2"):
        documents.setdefault(sentence.document, []).append(sentence.text)
    right = found = wanted = 0
    for texts in documents.values():
        starts = {sum(len(t) + 1 for t in texts[:i]) for i in range(len(texts))}
        got = {start for start, _ in sentence_ranges(" ".join(texts))}
        right, found, wanted = right + len(starts & got), found + len(got), wanted + len(starts)
    assert right / found > 0.99
    assert right / wanted > 0.99
