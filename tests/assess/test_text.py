"""Readings of a case's sentences become drugs, events and pair scores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from inference.classifier import Pair, Reading, TextSpan
from streams.assess.text import TextReading, read_text, text_reading
from streams.events import MICRO, PairScore, Span


def reading(*found: tuple[str, str, float]) -> Reading:
    """A reading with one drug and one effect span for each (drug, effect, probability)."""
    drugs = tuple(TextSpan(0, len(drug), drug) for drug, _, _ in found)
    effects = tuple(TextSpan(0, len(effect), effect) for _, effect, _ in found)
    pairs = tuple(Pair(i, i, probability) for i, (_, _, probability) in enumerate(found))
    return Reading(max((p for _, _, p in found), default=0.0), drugs, effects, pairs)


def test_a_pair_scores_its_best_sentence_with_that_sentences_words() -> None:
    readings = [
        reading(("Naproxen", "rashes", 0.6)),
        reading(("naproxen", "Rash", 0.9)),
        reading(("naproxen", "rash", 0.9)),
    ]
    assert text_reading(readings, 0.5) == TextReading(
        ["naproxen"], ["rash"], [900_000], [PairScore(0, 0, 900_000, Span("naproxen", "Rash"))]
    )


def test_what_is_below_the_threshold_leaves_nothing_behind() -> None:
    found = text_reading([reading(("aspirin", "tinnitus", 0.4)), reading(("warfarin", "bleeding", 0.5))], 0.5)
    assert (found.drugs, found.events, found.scores) == (["warfarin"], ["bleeding"], [500_000])


def test_the_score_of_an_event_is_its_best_pair() -> None:
    found = text_reading([reading(("b", "rash", 0.7), ("a", "rash", 0.8), ("a", "coma", 0.6))], 0.5)
    assert (found.drugs, found.events, found.scores) == (["a", "b"], ["coma", "rash"], [600_000, 800_000])
    assert [(pair.drug, pair.event, pair.micro) for pair in found.pairs] == [
        (0, 0, 600_000),
        (0, 1, 800_000),
        (1, 1, 700_000),
    ]


def test_a_span_without_a_word_makes_no_pair() -> None:
    assert text_reading([reading(("...", "rash", 0.9))], 0.5) == TextReading([], [], [], [])


NAMES = st.sampled_from(["a", "b", "c d", "Es", "--"])
READINGS = st.lists(
    st.lists(st.tuples(NAMES, NAMES, st.floats(0, 1)), max_size=4).map(lambda found: reading(*found)), max_size=6
)


@given(READINGS, st.floats(0, 1))
def test_lists_are_sorted_distinct_and_indexed_within_bounds(readings: list[Reading], threshold: float) -> None:
    found = text_reading(readings, threshold)
    assert found.drugs == sorted(set(found.drugs))
    assert found.events == sorted(set(found.events))
    assert {pair.drug for pair in found.pairs} == set(range(len(found.drugs)))
    assert {pair.event for pair in found.pairs} == set(range(len(found.events)))
    assert all(round(threshold * MICRO) <= pair.micro <= MICRO for pair in found.pairs)


@given(READINGS)
def test_repeating_a_text_changes_nothing(readings: list[Reading]) -> None:
    assert text_reading(readings * 2, 0.3) == text_reading(readings, 0.3)


def test_a_text_is_read_sentence_by_sentence() -> None:
    asked: list[str] = []

    class Recorder:
        async def classify(self, sentences: Sequence[str]) -> list[Reading]:
            asked.extend(sentences)
            return [reading(("naproxen", "rash", 0.9)) for _ in sentences]

    found = asyncio.run(read_text("He took naproxen. He had a rash.", Recorder(), 0.5))
    assert asked == ["He took naproxen.", "He had a rash."]
    assert found.drugs == ["naproxen"]
    assert asyncio.run(read_text(" \n ", Recorder(), 0.5)).pairs == []
    assert len(asked) == 2
