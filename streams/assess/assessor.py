"""One source message to its record, but for what only a classifier can say. Pure.

Each message becomes an assessment, or a dead letter that names why. What a text says is added by `Draft.record`.

Coded evidence is every suspect or interacting product with every event term. A concomitant product is part of the
fingerprints, no part of a pair. A monitor that reads text spells coded names like those it reads
(`streams.terms.plain`), so that a drug of a report and the same drug of a note are one; one that reads none keeps them
as they come. Then its vocabularies map them, if it has any (`streams.terms.translate`). With evidence `narrative` a
report gives its products alone: its events are those that its narrative tells.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from streams.assess.facts import facts_of
from streams.assess.fingerprints import Fingerprints
from streams.assess.text import TextReading
from streams.errors import ClassifierError, InputError, TooLarge
from streams.events import (
    MICRO,
    AdverseEvent,
    Assessment,
    AssessmentRecord,
    DeadLetter,
    PairScore,
    SourceMessage,
    Span,
    encode,
)
from streams.intake import Headers, parse_timed
from streams.monitors import Monitor
from streams.terms.plain import drug_term, event_term
from streams.terms.translate import translated
from streams.terms.vocabulary import Terms

__all__ = ["MOST_BYTES", "RETRY_HEADER", "Assessor", "Draft", "Origin", "encoded", "stratum_of"]

MOST_BYTES = 900_000  # of a record: Kafka's own limit for a batch is 1,048,588
RETRY_HEADER = "vigilia-retry-of"
_COORDINATES = re.compile(rb"[a-zA-Z0-9._-]{1,249}/\d{1,9}/\d{1,18}")
_BLAMED = ("suspect", "interacting")
_drug_term = lru_cache(maxsize=16_384)(drug_term)
_event_term = lru_cache(maxsize=65_536)(event_term)


class Origin(msgspec.Struct, frozen=True):
    """Where a message is: its record covers the offsets `[lo, offset]`. `timestamp` is Kafka's, in ms."""

    topic: str
    partition: int
    lo: int
    offset: int
    timestamp: int


def stratum_of(age_years: float | None, edges: Sequence[float]) -> int:
    """Index of the age stratum: 0 below the first edge; one more than the last for an unknown age.

    >>> [stratum_of(age, (1, 6, 18)) for age in (0.5, 1, 17.9, 18, None)]
    [0, 1, 2, 3, 4]
    """
    return len(edges) + 1 if age_years is None else bisect_right(edges, age_years)


class Draft:
    """An assessment that lacks what its text says. `products`: those that alone are asked about, if any."""

    __slots__ = ("_assessment", "_terms", "products", "text")

    def __init__(
        self, text: str, assessment: Assessment, products: Sequence[str] | None = None, terms: Terms | None = None
    ) -> None:
        self.text = text
        self.products = products
        self._assessment = assessment
        self._terms = terms

    def record(self, reading: TextReading, model: str) -> Assessment:
        """The assessment with what `model` read. Of a pair that is also coded the larger score counts."""
        combined = self._combined(reading, model)
        return combined if self._terms is None else translated(combined, self._terms)

    def _combined(self, reading: TextReading, model: str) -> Assessment:
        coded = self._assessment
        if not reading.pairs:
            return msgspec.structs.replace(coded, model=model, uncertain=reading.uncertain)
        scores: dict[tuple[str, str], tuple[int, Span | None]] = {
            (drug, event): (MICRO, None) for drug in coded.drugs for event in coded.events
        }
        for pair in reading.pairs:
            key = (reading.drugs[pair.drug], reading.events[pair.event])
            known = scores.get(key)
            if known is None or pair.micro > known[0]:
                scores[key] = (pair.micro, pair.span)
            elif known[1] is None:  # the words are evidence for a coded pair too
                scores[key] = (known[0], pair.span)
        drugs, events, totals, pairs = _combined(scores, coded)
        return msgspec.structs.replace(
            coded, drugs=drugs, events=events, scores=totals, pairs=pairs, model=model, uncertain=reading.uncertain
        )

    def dead_letter(self, origin: Origin, error: ClassifierError) -> DeadLetter:
        """What remains when the model fails on this text."""
        return _dead_letter(origin, error.reason, "the classifier fails on this text", self._assessment.retry_of)


def _combined(
    scores: dict[tuple[str, str], tuple[int, Span | None]], coded: Assessment
) -> tuple[list[str], list[str], list[int], list[PairScore]]:
    names = sorted({*coded.drugs, *(drug for drug, _ in scores)})
    totals = dict.fromkeys(coded.events, MICRO)
    for (_, event), (micro, _span) in scores.items():
        totals[event] = max(totals.get(event, 0), micro)
    terms = sorted(totals)
    drug_at = {name: index for index, name in enumerate(names)}
    event_at = {name: index for index, name in enumerate(terms)}
    pairs = [
        PairScore(drug_at[drug], event_at[event], micro, span)
        for (drug, event), (micro, span) in sorted(scores.items())
    ]
    return names, terms, [totals[term] for term in terms], pairs


class Assessor:
    """Assesses messages by one monitor's settings. `key` is that of the fingerprints, `terms` map names."""

    def __init__(self, monitor: Monitor, key: bytes, terms: Terms | None = None) -> None:
        self._terms = terms or None
        self._fingerprints = Fingerprints(key)
        self._edges = monitor.strata_years
        self._most_bytes = monitor.max_message_bytes
        self._coded_drugs = monitor.evidence != "text"
        self._narrated = monitor.evidence == "narrative"
        self._reads_text = monitor.reads_text

    def assess(self, origin: Origin, value: bytes | None, headers: Headers) -> Assessment | DeadLetter | Draft:
        """The record of a message, or a draft whose text is to be read first. Raises nothing for any bytes."""
        retry_of = _retry_of(headers) if headers else None
        timestamp = origin.timestamp
        try:
            message, received_at = parse_timed(
                value, topic=origin.topic, timestamp=timestamp, headers=headers, max_bytes=self._most_bytes
            )
        except InputError as error:
            return _dead_letter(origin, error.reason, str(error), retry_of)
        drugs, events = self._coded_terms(message)
        assessment = Assessment(
            topic=origin.topic,
            partition=origin.partition,
            lo=origin.lo,
            offset=origin.offset,
            received_at=received_at,
            case_id=message.case_id,
            version=message.version,
            stratum=stratum_of(message.patient.age_years, self._edges),
            drugs=drugs,
            events=events,
            scores=[MICRO] * len(events),
            fingerprints=self._fingerprints.of(message),
            retry_of=retry_of,
            facts=facts_of(message, self._drug_name, blamed=_BLAMED),
        )
        if self._reads_text:
            if not isinstance(message, AdverseEvent):
                return Draft(message.text, assessment, terms=self._terms)
            if message.narrative is not None:
                return Draft(message.narrative, assessment, drugs if self._narrated else None, self._terms)
        return assessment if self._terms is None else translated(assessment, self._terms)

    def _coded_terms(self, message: SourceMessage) -> tuple[list[str], list[str]]:
        if not self._coded_drugs or not isinstance(message, AdverseEvent):
            return [], []
        drugs = {self._drug_name(product.name) for product in message.products if product.role in _BLAMED}
        events = set(() if self._narrated else message.events)
        if self._reads_text:
            events = {_event_term(name) or name for name in events}
        return sorted(drugs), sorted(events)

    def _drug_name(self, name: str) -> str:
        """A product's name as the case's drugs are spelled."""
        return (_drug_term(name) or name) if self._reads_text else name


def encoded(record: AssessmentRecord) -> bytes:
    """The record's JSON. An assessment too large for Kafka becomes a dead letter: it would stop its partition for good.

    That takes hundreds of products and events in one report and a text read with it (each pair is then spelled out).
    """
    value = encode(record)
    if len(value) > MOST_BYTES and isinstance(record, Assessment):
        origin = Origin(record.topic, record.partition, record.lo, record.offset, 0)
        detail = f"its assessment would have {len(value)} bytes; at most {MOST_BYTES} are written"
        return encode(_dead_letter(origin, TooLarge.reason, detail, record.retry_of))
    return value


def _dead_letter(origin: Origin, reason: str, detail: str, retry_of: str | None) -> DeadLetter:
    return DeadLetter(
        origin.topic, origin.partition, origin.lo, origin.offset, reason, detail, origin.timestamp, retry_of
    )


def _retry_of(headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    """The coordinates that `vigilia dead-letters retry` put on the record. Anything else could be a patient's name."""
    for name, content in headers:
        if name == RETRY_HEADER and content and _COORDINATES.fullmatch(content):
            return content.decode()
    return None
