"""Real notes as clinical notes of the stream, and what the corpora say is in them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from streams.terms.plain import drug_term, event_term
from training.data import Sentence, load_ade, split_ade
from training.evaluate.outside import HARM

Pair = tuple[str, str]  # (drug, event), as terms


class RealNote(NamedTuple):
    """A note and its corpus. `gold`: the pairs that the corpus annotates in it; None where nobody annotated."""

    case_id: str
    corpus: str
    text: str
    gold: frozenset[Pair] | None = None

    @property
    def harm(self) -> bool:
        """Whether some wording attributes harm to a drug: without it a note counts as one without adverse event."""
        return bool(HARM.search(self.text))


def abstracts(data: Path, fold: int) -> list[RealNote]:
    """The sentences of each development PubMed id of ADE-Corpus-V2, put back together into one note."""
    documents: dict[str, list[Sentence]] = {}
    for sentence in split_ade(load_ade(data / "ade_corpus_v2"), fold).development:
        documents.setdefault(sentence.document, []).append(sentence)
    return [
        RealNote(f"pubmed-{name}", "ade_corpus", " ".join(s.text for s in sentences), gold_pairs(sentences))
        for name, sentences in documents.items()
    ]


def gold_pairs(sentences: Iterable[Sentence]) -> frozenset[Pair]:
    """The corpus's relations of a document, as terms."""
    found = set()
    for s in sentences:
        for d, e in s.pairs:
            drug, event = drug_term(s.text[slice(*s.drugs[d])]), event_term(s.text[slice(*s.effects[e])])
            if drug is not None and event is not None:
                found.add((drug, event))
    return frozenset(found)


def sections(data: Path) -> list[RealNote]:
    """Every section of MTS-Dialog."""
    return _notes(data, "mts_dialog", "section_text")


def visits(data: Path) -> list[RealNote]:
    """Every note of ACI-Bench."""
    return _notes(data, "aci_bench", "note")


def _notes(data: Path, corpus: str, column: str) -> list[RealNote]:
    notes: list[RealNote] = []
    for path in sorted((data / f"notes_{corpus}").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            notes += (RealNote(f"{path.stem}-{n}", corpus, row[column]) for n, row in enumerate(csv.DictReader(file)))
    return notes


def overlapping(found: Iterable[Pair], gold: Sequence[Pair] | frozenset[Pair]) -> tuple[int, int]:
    """(pairs found that match, gold pairs that are matched) when one event's words may contain the other's."""
    found = set(found)

    def alike(a: Pair, b: Pair) -> bool:
        words, others = set(a[1].split()), set(b[1].split())
        return a[0] == b[0] and (words <= others or others <= words)

    return sum(any(alike(f, g) for g in gold) for f in found), sum(any(alike(f, g) for f in found) for g in gold)
