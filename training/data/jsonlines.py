"""A user's own labelled sentences: one JSON object a line (docs/training.md).

Strict: a field that is not known, a span outside of its text, a pair without its span is an error that names file and
line. A label that was mistyped would otherwise be learnt.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import msgspec

from training.data.sentence import CorpusError, Range, Sentence

MAX_CHARACTERS = 1000  # as in the stream: a longer sentence is never seen there


class Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One line. Offsets count characters, end exclusive; `pairs` hold an index into drugs and one into effects."""

    id: str
    document: str
    text: str
    positive: bool
    drugs: tuple[tuple[int, int], ...] = ()
    effects: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()


def load_jsonlines(path: Path, corpus: str | None = None) -> list[Sentence]:
    """Sentences of a file; `corpus` is how figures name them (default: the file's name without its ending).

    Raises CorpusError that starts with file and line.
    """
    decoder = msgspec.json.Decoder(Line)
    first: dict[str, int] = {}
    sentences = []
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = decoder.decode(raw)
            if line.id in first:
                raise ValueError(f"id {line.id!r} is that of line {first[line.id]}")
            _check(line)
        except (msgspec.DecodeError, ValueError) as error:
            raise CorpusError(f"{path}, line {number}: {error}") from error
        first[line.id] = number
        pairs = frozenset(line.pairs)
        sentences.append(
            Sentence(line.text, line.document, corpus or path.stem, line.positive, line.drugs, line.effects, pairs)
        )
    if not sentences:
        raise CorpusError(f"{path}: no line in it")
    return sentences


def dump_jsonlines(sentences: Iterable[Sentence], path: Path) -> None:
    """Write sentences in the same format; ids are running numbers. What `load_jsonlines` reads back is equal."""
    lines = [
        Line(str(number), s.document, s.text, s.positive, s.drugs, s.effects, tuple(sorted(s.pairs)))
        for number, s in enumerate(sentences, 1)
    ]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def _check(line: Line) -> None:
    if not line.id or not line.document:
        raise ValueError("id and document must not be empty")
    if not line.text.strip() or len(line.text) > MAX_CHARACTERS:
        raise ValueError(f"text must hold 1 to {MAX_CHARACTERS} characters, has {len(line.text)}")
    for name, spans in (("drugs", line.drugs), ("effects", line.effects)):
        _check_spans(name, spans, line.text)
    for drug, effect in line.pairs:
        if not (0 <= drug < len(line.drugs) and 0 <= effect < len(line.effects)):
            raise ValueError(f"pair [{drug}, {effect}]: there are {len(line.drugs)} drugs, {len(line.effects)} effects")
    if len(set(line.pairs)) < len(line.pairs):
        raise ValueError("the same pair twice")
    if line.pairs and not line.positive:
        raise ValueError("a sentence that is not positive has a pair")
    if line.positive and line.drugs and line.effects and not line.pairs:
        raise ValueError("a positive sentence marks drugs and effects and no pair")


def _check_spans(name: str, spans: tuple[Range, ...], text: str) -> None:
    for start, end in spans:
        if not 0 <= start < end <= len(text):
            raise ValueError(f"{name}: [{start}, {end}] does not lie in the text of {len(text)} characters")
        if text[start:end] != text[start:end].strip():
            raise ValueError(f"{name}: [{start}, {end}] = {text[start:end]!r} begins or ends with white space")
    for before, after in pairwise(spans):
        if before[1] > after[0]:
            raise ValueError(f"{name}: {list(after)} comes after {list(before)} and overlaps it, or is out of order")
