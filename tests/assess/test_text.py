"""Readings of a case's sentences become drugs, events and pair scores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from inference.classifier import Pair, Reading, TextSpan
from inference.conformal import Conformity
from streams.assess.text import TextReading, read_text, text_reading
from streams.events import MICRO, PairScore, Span, Uncertain
from streams.monitors import TextSettings


def reading(*found: tuple[str, str, float]) -> Reading:
    """A reading with one drug and one effect span for each (drug, effect, probability)."""
    drugs = tuple(TextSpan(0, len(drug), drug) for drug, _, _ in found)
    effects = tuple(TextSpan(0, len(effect), effect) for _, effect, _ in found)
    pairs = tuple(Pair(i, i, probability) for i, (_, _, probability) in enumerate(found))
    return Reading(max((p for _, _, p in found), default=0.0), drugs, effects, pairs)


def read(readings: Sequence[Reading], threshold: float = 0.5, **settings: Any) -> TextReading:
    """The readings of sentences of ten characters, one after the other."""
    ranges = [(10 * index, 10 * index + 10) for index in range(len(readings))]
    return text_reading(ranges, readings, TextSettings(threshold=threshold, **settings))


def test_a_pair_scores_its_best_sentence_with_that_sentences_words() -> None:
    readings = [
        reading(("Naproxen", "rashes", 0.6)),
        reading(("naproxen", "Rash", 0.9)),
        reading(("naproxen", "rash", 0.9)),
    ]
    assert read(readings) == TextReading(
        ["naproxen"], ["rash"], [900_000], [PairScore(0, 0, 900_000, Span("naproxen", "Rash"))]
    )


def test_what_is_below_the_threshold_leaves_nothing_behind() -> None:
    found = read([reading(("aspirin", "tinnitus", 0.4)), reading(("warfarin", "bleeding", 0.5))])
    assert (found.drugs, found.events, found.scores) == (["warfarin"], ["bleeding"], [500_000])


def test_the_score_of_an_event_is_its_best_pair() -> None:
    found = read([reading(("b", "rash", 0.7), ("a", "rash", 0.8), ("a", "coma", 0.6))])
    assert (found.drugs, found.events, found.scores) == (["a", "b"], ["coma", "rash"], [600_000, 800_000])
    assert [(pair.drug, pair.event, pair.micro) for pair in found.pairs] == [
        (0, 0, 600_000),
        (0, 1, 800_000),
        (1, 1, 700_000),
    ]


def test_a_span_without_a_word_makes_no_pair() -> None:
    assert read([reading(("...", "rash", 0.9))]) == TextReading([], [], [], [])


NAMES = st.sampled_from(["a", "b", "c d", "Es", "--"])
READINGS = st.lists(
    st.lists(st.tuples(NAMES, NAMES, st.floats(0, 1)), max_size=4).map(lambda found: reading(*found)), max_size=6
)


@given(READINGS, st.floats(0, 1))
def test_lists_are_sorted_distinct_and_indexed_within_bounds(readings: list[Reading], threshold: float) -> None:
    found = read(readings, threshold)
    assert found.drugs == sorted(set(found.drugs))
    assert found.events == sorted(set(found.events))
    assert {pair.drug for pair in found.pairs} == set(range(len(found.drugs)))
    assert {pair.event for pair in found.pairs} == set(range(len(found.events)))
    assert all(round(threshold * MICRO) <= pair.micro <= MICRO for pair in found.pairs)


@given(READINGS)
def test_repeating_a_text_changes_nothing(readings: list[Reading]) -> None:
    assert read(readings * 2, 0.3) == read(readings, 0.3)


def test_a_text_is_read_sentence_by_sentence() -> None:
    asked: list[str] = []

    class Recorder:
        async def classify(self, sentences: Sequence[str], topic: str) -> list[Reading]:
            asked.extend(sentences)
            return [reading(("naproxen", "rash", 0.9)) for _ in sentences]

    found = asyncio.run(read_text("He took naproxen. He had a rash.", "notes", Recorder(), TextSettings()))
    assert asked == ["He took naproxen.", "He had a rash."]
    assert found.drugs == ["naproxen"]
    assert asyncio.run(read_text(" \n ", "notes", Recorder(), TextSettings())).pairs == []
    assert len(asked) == 2


# ---------------------------------------------------------------- what is left open

SURE, UNSURE = Conformity(0.4, 0.01), Conformity(0.2, 0.1)
MARKED = st.lists(
    st.tuples(READINGS.map(lambda found: (found or [reading()])[0]), st.sampled_from([SURE, UNSURE, None])), max_size=6
)


def test_an_uncertain_sentence_is_marked_with_its_place_and_whether_it_counts() -> None:
    readings = [
        reading(("naproxen", "rash", 0.6))._replace(conformity=UNSURE),
        reading(("naproxen", "coma", 0.9))._replace(conformity=SURE),
        reading(("naproxen", "coma", 0.7))._replace(conformity=UNSURE),
        reading(("naproxen", "ache", 0.2))._replace(conformity=UNSURE),
    ]
    assert read(readings).uncertain == [
        Uncertain(0, 10, 600_000, counted=True),
        Uncertain(20, 30, 700_000, counted=False),  # the sentence before it gives the score
        Uncertain(30, 40, 200_000, counted=False),
    ]
    assert read(readings, error_rate=0.15).uncertain == []


def test_left_out_are_the_pairs_of_uncertain_sentences_and_no_others() -> None:
    readings = [
        reading(("naproxen", "rash", 0.9))._replace(conformity=UNSURE),
        reading(("naproxen", "rash", 0.6), ("aspirin", "coma", 0.8))._replace(conformity=SURE),
    ]
    found = read(readings, uncertain="leave_out")
    assert [pair.micro for pair in found.pairs] == [800_000, 600_000]
    assert found.uncertain == [Uncertain(0, 10, 900_000, counted=False)]


@given(MARKED, st.sampled_from(["count", "leave_out"]))
def test_leaving_out_is_reading_the_text_without_its_uncertain_sentences(
    sentences: list[tuple[Reading, Conformity | None]], uncertain: Literal["count", "leave_out"]
) -> None:
    readings = [found._replace(conformity=conformity) for found, conformity in sentences]
    kept = [found for found in readings if uncertain == "count" or found.conformity is not UNSURE]
    found, without = read(readings, uncertain=uncertain), read([r._replace(conformity=None) for r in kept])
    assert (found.drugs, found.events, found.scores, found.pairs) == (
        without.drugs,
        without.events,
        without.scores,
        without.pairs,
    )
    places = [(10 * index, 10 * index + 10) for index, r in enumerate(readings) if r.conformity is UNSURE]
    assert [(sentence.start, sentence.end) for sentence in found.uncertain] == places


def test_places_are_those_of_the_sentence_in_the_message() -> None:
    class Doubter:
        async def classify(self, sentences: Sequence[str], topic: str) -> list[Reading]:
            return [Reading(0.3, conformity=UNSURE if "rash" in sentence else SURE) for sentence in sentences]

    text = "PLAN:\n- He took naproxen.\n- He had a rash.\n"
    (found,) = asyncio.run(read_text(text, "notes", Doubter(), TextSettings())).uncertain
    assert text[found.start : found.end] == "He had a rash."


def test_a_narratives_events_go_with_every_product_as_probable_as_their_best_sentence() -> None:
    told = Reading(0.8, (), (TextSpan(0, 5, "Fever"), TextSpan(6, 14, "vomiting")))
    again = Reading(0.9, (TextSpan(0, 7, "aspirin"),), (TextSpan(8, 13, "fever"),), (Pair(0, 0, 0.7),))
    doubtful = Reading(0.3, (), (TextSpan(0, 4, "rash"),))
    ranges = [(0, 10), (10, 20), (20, 30)]
    found = text_reading(ranges, [told, again, doubtful], TextSettings(), ["dtp", "opv"])
    assert (found.drugs, found.events, found.scores) == (["dtp", "opv"], ["fever", "vomiting"], [900_000, 800_000])
    assert found.pairs == [
        PairScore(0, 0, 900_000, Span("", "fever")),
        PairScore(0, 1, 800_000, Span("", "vomiting")),
        PairScore(1, 0, 900_000, Span("", "fever")),
        PairScore(1, 1, 800_000, Span("", "vomiting")),
    ]


def test_a_report_without_products_has_no_events_to_tell() -> None:
    assert text_reading([(0, 10)], [Reading(0.9, (), (TextSpan(0, 5, "fever"),))], TextSettings(), []).pairs == []
