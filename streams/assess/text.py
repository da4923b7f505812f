"""A case's text to drugs, events and pair scores: sentences, readings, one score a pair for the case as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.classifier import Reading
from streams.assess.sentences import sentences_of
from streams.assess.terms import drug_term, event_term
from streams.events import MICRO, PairScore, Span


class Reader(Protocol):
    """Whoever reads sentences, one reading each: `inference.batcher.MicroBatcher` in the worker."""

    async def classify(self, sentences: Sequence[str]) -> list[Reading]:
        """One reading a sentence, in order."""


@dataclass(frozen=True)
class TextReading:
    """What a text asserts, shaped as `streams.events.Assessment` wants it.

    `drugs` and `events` are sorted and distinct and hold what some pair names; `scores[i]` is the largest micro of a
    pair with `events[i]`; `pairs` is sorted by (drug, event), each with the words of the sentence that scored highest.
    """

    drugs: list[str]
    events: list[str]
    scores: list[int]
    pairs: list[PairScore]


async def read_text(text: str, reader: Reader, threshold: float) -> TextReading:
    """Split a text, have it read, and put the readings together. Raises what the reader raises."""
    sentences = sentences_of(text)
    return text_reading(await reader.classify(sentences) if sentences else [], threshold)


def text_reading(readings: Sequence[Reading], threshold: float) -> TextReading:
    """The case's pairs from the readings of its sentences, in order.

    A pair's score is the largest of its sentences' (repetition is not corroboration: notes repeat themselves); of equal
    ones the earlier sentence gives the words. Pairs below `threshold` are dropped, and so are drugs and events that
    only they named: a drug that is mentioned without an event is no case of that drug.
    """
    least = round(threshold * MICRO)
    best: dict[tuple[str, str], tuple[int, Span]] = {}
    for reading in readings:
        for pair in reading.pairs:
            micro = round(pair.probability * MICRO)
            if micro < least:
                continue
            words = Span(reading.drugs[pair.drug].text, reading.effects[pair.effect].text)
            drug, event = drug_term(words.drug), event_term(words.effect)
            if drug is None or event is None or drug == event:
                continue
            if (drug, event) not in best or micro > best[drug, event][0]:
                best[drug, event] = (micro, words)
    drugs = sorted({drug for drug, _ in best})
    events = sorted({event for _, event in best})
    scores = [max(micro for (_, other), (micro, _) in best.items() if other == event) for event in events]
    pairs = [
        PairScore(drugs.index(drug), events.index(event), micro, words)
        for (drug, event), (micro, words) in sorted(best.items())
    ]
    return TextReading(drugs, events, scores, pairs)
