"""A case's text to drugs, events and pair scores: sentences, readings, one score a pair for the case as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from inference.classifier import Reading
from inference.conformal import OPEN
from streams.assess.sentences import Range, sentence_ranges
from streams.events import MICRO, PairScore, Span, Uncertain
from streams.monitors import TextSettings
from streams.terms.plain import drug_term, event_term

_Found = tuple[str, str, float, Span]  # drug, event, probability, the words
_Best = dict[tuple[str, str], tuple[int, Span, int]]  # of (drug, event): micro, the words, which sentence


class Reader(Protocol):
    """Whoever reads sentences, one reading each: `inference.batching.MicroBatcher` in the worker."""

    async def classify(self, sentences: Sequence[str], topic: str) -> list[Reading]:
        """One reading a sentence, in order. `topic`: whose turn is used up, for topics take turns."""


@dataclass(frozen=True)
class TextReading:
    """What a text asserts, shaped as `streams.events.Assessment` wants it.

    `drugs` and `events` are sorted and distinct and hold what some pair names; `scores[i]` is the largest micro of a
    pair with `events[i]`; `pairs` is sorted by (drug, event), each with the words of the sentence that scored highest.
    `uncertain` names the sentences that the model leaves open, in order.
    """

    drugs: list[str]
    events: list[str]
    scores: list[int]
    pairs: list[PairScore]
    uncertain: list[Uncertain] = field(default_factory=list)


async def read_text(
    text: str, topic: str, reader: Reader, settings: TextSettings, products: Sequence[str] | None = None
) -> TextReading:
    """Split a text, have it read, and put the readings together. Raises what the reader raises."""
    ranges = sentence_ranges(text)
    readings = await reader.classify([text[start:end] for start, end in ranges], topic) if ranges else []
    return text_reading(ranges, readings, settings, products)


def text_reading(
    ranges: Sequence[Range],
    readings: Sequence[Reading],
    settings: TextSettings,
    products: Sequence[str] | None = None,
) -> TextReading:
    """The case's pairs from its sentences, in order: where each is in the text, and its reading.

    With `products` (those that the report blames) the text is asked for events alone, and each goes with every product:
    who reports "fever next day" does not name the vaccine again.

    A pair's score is the largest of its sentences' (repetition is not corroboration: notes repeat themselves); of equal
    ones the earlier sentence gives the words. Pairs below `settings.threshold` are dropped, and so are drugs and events
    that only they named: a drug that is mentioned without an event is no case of that drug. `settings.uncertain` says
    whether the pairs of an uncertain sentence are dropped too.
    """
    doubtful = [_is_open(reading, settings.error_rate) for reading in readings]
    left_out = settings.uncertain == "leave_out"
    best: _Best = {}
    for index, reading in enumerate(readings):
        if not (left_out and doubtful[index]):
            found = _named(reading) if products is None else _narrated(reading, products)
            _take(best, found, index, round(settings.threshold * MICRO))
    drugs = sorted({drug for drug, _ in best})
    events = sorted({event for _, event in best})
    scores = [max(found[0] for (_, other), found in best.items() if other == event) for event in events]
    pairs = [
        PairScore(drugs.index(drug), events.index(event), micro, words)
        for (drug, event), (micro, words, _) in sorted(best.items())
    ]
    sources = {index for _, _, index in best.values()}
    uncertain = [
        Uncertain(*where, round(reading.probability * MICRO), index in sources)
        for index, (where, reading) in enumerate(zip(ranges, readings, strict=True))
        if doubtful[index]
    ]
    return TextReading(drugs, events, scores, pairs, uncertain)


def _is_open(reading: Reading, error_rate: float) -> bool:
    """A reading without p-values (of a classifier that has no calibration of sets) is never open."""
    return reading.conformity is not None and reading.conformity.verdict(error_rate) == OPEN


def _named(reading: Reading) -> Iterator[_Found]:
    """Pairs of which the sentence names both."""
    for pair in reading.pairs:
        words = Span(reading.drugs[pair.drug].text, reading.effects[pair.effect].text)
        drug, event = drug_term(words.drug), event_term(words.effect)
        if drug is not None and event is not None and drug != event:
            yield drug, event, pair.probability, words


def _narrated(reading: Reading, products: Sequence[str]) -> Iterator[_Found]:
    """Effects that the sentence tells, each with every product, as probable as the sentence is a report of one."""
    for effect in reading.effects:
        if (event := event_term(effect.text)) is not None:
            for product in products:
                yield product, event, reading.probability, Span("", effect.text)


def _take(best: _Best, found: Iterable[_Found], index: int, least: int) -> None:
    """Enter the pairs of sentence `index` where they are the best so far."""
    for drug, event, probability, words in found:
        micro = round(probability * MICRO)
        if micro >= least and ((drug, event) not in best or micro > best[drug, event][0]):
            best[drug, event] = (micro, words, index)
