"""What `vigilia classify` does, apart from the command line: JSON lines in, JSON lines out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from inference.classifier import Classifier, Reading, TextSpan
from streams.errors import SchemaMismatch, Unreadable

Range = tuple[int, int]
CHUNK = 64  # lines read before the classifier is asked


class TextLine(msgspec.Struct, frozen=True):
    """One line of input: `{"id": "7", "text": "..."}`. Other fields are ignored."""

    id: str | int
    text: str


class SpanOut(msgspec.Struct, frozen=True):
    """A DRUG or EFFECT span: characters `[start, end)` of the text, and those characters."""

    label: str
    start: int
    end: int
    text: str


class PairOut(msgspec.Struct, frozen=True):
    """A drug and an effect of one sentence: their words, where they are in the text, and the pair's probability."""

    drug: str
    effect: str
    probability: float
    drug_start: int
    drug_end: int
    effect_start: int
    effect_end: int


class Classified(msgspec.Struct, frozen=True):
    """One line of output: the largest probability of the text's sentences; offsets count from the text's start."""

    id: str | int
    probability: float
    spans: list[SpanOut]
    pairs: list[PairOut]


def classify_lines(
    lines: Iterable[bytes], classifier: Classifier, split: Callable[[str], Sequence[Range]]
) -> Iterator[bytes]:
    """Classify the text of each JSON line; `split` gives the character ranges of a text's sentences.

    Yields one JSON line (without newline) for each line that is not blank, in order. Raises what the classifier raises,
    and Unreadable or SchemaMismatch naming the line, after the lines before it were answered.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while chunk := list(islice(numbered, CHUNK)):
        texts, error = _parsed(chunk)
        yield from _classified(texts, classifier, split)
        if error is not None:
            raise error


def _parsed(chunk: list[tuple[int, bytes]]) -> tuple[list[TextLine], Unreadable | SchemaMismatch | None]:
    """The lines up to the first that does not fit, and what is wrong with that one."""
    texts: list[TextLine] = []
    for number, line in chunk:
        try:
            texts.append(msgspec.json.decode(line, type=TextLine))
        except msgspec.ValidationError as error:
            return texts, SchemaMismatch(f"line {number}: {error}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return texts, Unreadable(f"line {number}: not a JSON object in UTF-8")
        except RecursionError:
            return texts, Unreadable(f"line {number}: nested too deep")
    return texts, None


def _classified(
    texts: Sequence[TextLine], classifier: Classifier, split: Callable[[str], Sequence[Range]]
) -> Iterator[bytes]:
    ranges = [list(split(line.text)) for line in texts]
    sentences = [line.text[start:end] for line, parts in zip(texts, ranges, strict=True) for start, end in parts]
    readings = iter(classifier.classify(sentences))
    for line, parts in zip(texts, ranges, strict=True):
        yield msgspec.json.encode(_joined(line, [(start, next(readings)) for start, _ in parts]))


def _joined(line: TextLine, readings: Sequence[tuple[int, Reading]]) -> Classified:
    spans, pairs = [], []
    for start, reading in readings:
        for label, found in (("DRUG", reading.drugs), ("EFFECT", reading.effects)):
            spans += [SpanOut(label, start + span.start, start + span.end, span.text) for span in found]
        pairs += [
            _pair(start, reading.drugs[pair.drug], reading.effects[pair.effect], pair.probability)
            for pair in reading.pairs
        ]
    probability = max((reading.probability for _, reading in readings), default=0.0)
    return Classified(line.id, round(probability, 6), spans, pairs)


def _pair(start: int, drug: TextSpan, effect: TextSpan, probability: float) -> PairOut:
    places = (start + drug.start, start + drug.end, start + effect.start, start + effect.end)
    return PairOut(drug.text, effect.text, round(probability, 6), *places)
