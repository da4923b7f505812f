"""What `vigilia classify` does, apart from the command line: JSON lines in, JSON lines out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from inference.classifier import Classifier, Reading, TextSpan
from inference.conformal import ERROR_RATE, NOT, Verdict
from streams.errors import SchemaMismatch, Unreadable

if TYPE_CHECKING:
    from inference.explain import Explanation

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


class WordOut(msgspec.Struct, frozen=True):
    """A word, where it is in the text, and what it adds to its sentence's logit."""

    text: str
    start: int
    end: int
    attribution: float


class SentenceOut(msgspec.Struct, frozen=True):
    """A sentence explained: the attributions of its words sum to `logit` - `baseline`, its logit without any word."""

    start: int
    end: int
    probability: float
    verdict: Verdict | None
    logit: float
    baseline: float
    words: list[WordOut]


class Classified(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of output: probability and verdict of the text's most probable sentence.

    Offsets count from the text's start. `verdict` is null if the model has no conformal calibration; `sentences` is
    there if they are explained.
    """

    id: str | int
    probability: float
    verdict: Verdict | None
    spans: list[SpanOut]
    pairs: list[PairOut]
    sentences: list[SentenceOut] | None = None


def classify_lines(
    lines: Iterable[bytes],
    classifier: Classifier,
    split: Callable[[str], Sequence[Range]],
    error_rate: float = ERROR_RATE,
    explain: Callable[[str], Explanation] | None = None,
) -> Iterator[bytes]:
    """Classify the text of each JSON line; `split` gives the character ranges of a text's sentences.

    `error_rate` is that of the verdicts; `explain` is asked for each sentence, if it is given.

    Yields one JSON line (without newline) for each line that is not blank, in order. Raises what the classifier raises,
    and Unreadable or SchemaMismatch naming the line, after the lines before it were answered.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while chunk := list(islice(numbered, CHUNK)):
        texts, error = _parsed(chunk)
        yield from _classified(texts, classifier, split, error_rate, explain)
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
    texts: Sequence[TextLine],
    classifier: Classifier,
    split: Callable[[str], Sequence[Range]],
    error_rate: float,
    explain: Callable[[str], Explanation] | None,
) -> Iterator[bytes]:
    ranges = [list(split(line.text)) for line in texts]
    sentences = [line.text[start:end] for line, parts in zip(texts, ranges, strict=True) for start, end in parts]
    readings = iter(classifier.classify(sentences))
    for line, parts in zip(texts, ranges, strict=True):
        read = [next(readings) for _ in parts]
        found = _joined(line, [(start, reading) for (start, _), reading in zip(parts, read, strict=True)], error_rate)
        if explain is not None:
            explained = [
                _explained(line.text, part, _verdict(reading, error_rate), reading, explain(line.text[slice(*part)]))
                for part, reading in zip(parts, read, strict=True)
            ]
            found = msgspec.structs.replace(found, sentences=explained)
        yield msgspec.json.encode(found)


def _explained(text: str, part: Range, verdict: Verdict | None, reading: Reading, why: Explanation) -> SentenceOut:
    words = []
    for word in why.words:
        start, end = part[0] + word.start, part[0] + word.end
        words.append(WordOut(text[start:end], start, end, _shown(word.attribution)))
    probability = _shown(reading.probability)
    return SentenceOut(*part, probability, verdict, _shown(why.logit), _shown(why.baseline), words)


def _verdict(reading: Reading, error_rate: float) -> Verdict | None:
    return None if reading.conformity is None else reading.conformity.verdict(error_rate)


def _shown(value: float) -> float:
    return round(value, 6)


def _joined(line: TextLine, readings: Sequence[tuple[int, Reading]], error_rate: float) -> Classified:
    spans, pairs = [], []
    for start, reading in readings:
        for label, found in (("DRUG", reading.drugs), ("EFFECT", reading.effects)):
            spans += [SpanOut(label, start + span.start, start + span.end, span.text) for span in found]
        pairs += [
            _pair(start, reading.drugs[pair.drug], reading.effects[pair.effect], pair.probability)
            for pair in reading.pairs
        ]
    best = max((reading for _, reading in readings), key=lambda reading: reading.probability, default=None)
    if best is None:
        return Classified(line.id, 0.0, NOT, spans, pairs)
    return Classified(line.id, _shown(best.probability), _verdict(best, error_rate), spans, pairs)


def _pair(start: int, drug: TextSpan, effect: TextSpan, probability: float) -> PairOut:
    places = (start + drug.start, start + drug.end, start + effect.start, start + effect.end)
    return PairOut(drug.text, effect.text, _shown(probability), *places)
