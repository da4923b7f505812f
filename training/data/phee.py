"""PHEE V2: sentences of the same abstracts as ADE-Corpus-V2 (88% of its documents), annotated with events.

Positive = an `Adverse_event` that is not marked as negated. A sentence that holds only `Potential_therapeutic_event`s
is negative. Effect spans are longer than ADE-Corpus's (strict agreement .46, overlap .93), so they are read only if
asked for, and are never scored strictly. An annotation in several pieces gives a span a piece.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.data.sentence import CorpusError, Range, Sentence, span_at

FILES = ("train.json", "dev.json", "test.json")


def load_phee(folder: Path, spans: bool = False) -> list[Sentence]:
    """The three files of PHEE; its own split is not kept, documents (PubMed ids) decide as everywhere.

    Raises CorpusError for a line that does not read or a span whose text is not where it says.
    """
    sentences = []
    for name in FILES:
        for number, line in enumerate((folder / name).read_text(encoding="utf-8").splitlines(), 1):
            try:
                sentences.append(_sentence(json.loads(line), spans))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise CorpusError(f"{name}, line {number}: {type(error).__name__} {error}") from error
    return sentences


def _sentence(row: dict[str, Any], with_spans: bool) -> Sentence:
    text = row["context"]
    document = row["id"].partition("_")[0]
    events = [event for annotation in row["annotations"] for event in annotation["events"]]
    harms = [e for e in events if e["event_type"] == "Adverse_event" and "Negated" not in e]
    if not with_spans:
        return Sentence(text, document, "phee", bool(harms))
    linked = [(drug, effect) for e in harms for drug in _drugs(e, text) for effect in _ranges(e.get("Effect"), text)]
    drugs = tuple(sorted({drug for drug, _ in linked}))
    effects = tuple(sorted({effect for _, effect in linked}))
    pairs = frozenset((drugs.index(drug), effects.index(effect)) for drug, effect in linked)
    return Sentence(text, document, "phee", bool(harms), drugs, effects, pairs)


def _drugs(event: dict[str, Any], text: str) -> list[Range]:
    """The drugs of a treatment; a treatment that names none (vaccination, chemotherapy) as a whole."""
    treatment = event.get("Treatment") or {}
    return list(_ranges(treatment.get("Drug"), text)) or list(_ranges(treatment, text))


def _ranges(argument: dict[str, Any] | None, text: str) -> Iterator[Range]:
    if not argument or "text" not in argument:
        return
    for words, starts in zip(argument["text"], argument["start"], strict=True):
        for piece, start in zip(words, starts, strict=True):
            span = span_at(text, start, piece)
            if span is None:
                raise ValueError(f"{piece!r} is not at {start}")
            yield span
