"""ADE-Corpus-V2 from its original files.

Its offsets count from the abstract's start. One shift a relation maps both of its spans into the sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data.sentence import CorpusError, Range, Sentence


@dataclass(frozen=True)
class _Relation:
    effect: str
    effect_at: int
    drug: str
    drug_at: int


def _occurrences(needle: str, haystack: str) -> Iterator[int]:
    at = haystack.find(needle)
    while at >= 0:
        yield at
        at = haystack.find(needle, at + 1)


def _shifts(sentence: str, relation: _Relation) -> list[int]:
    """Every shift that puts both of a relation's spans on their own words in the sentence."""
    found = []
    for at in _occurrences(relation.effect, sentence):
        shift = relation.effect_at - at
        drug_at = relation.drug_at - shift
        if drug_at >= 0 and sentence.startswith(relation.drug, drug_at):
            found.append(shift)
    return found


def _spans(sentence: str, relations: list[_Relation]) -> tuple[list[tuple[Range, Range]], int]:
    """(drug range, effect range) of each relation, and how many relations no shift fits."""
    candidates = [_shifts(sentence, relation) for relation in relations]
    votes = Counter(shift for shifts in candidates for shift in shifts)
    spans, unfit = [], 0
    for relation, shifts in zip(relations, candidates, strict=True):
        if not shifts:
            unfit += 1
            continue
        shift = min(shifts, key=lambda s: (-votes[s], s))  # one the sentence's other relations share, if there is one
        effect = relation.effect_at - shift
        drug = relation.drug_at - shift
        spans.append(((drug, drug + len(relation.drug)), (effect, effect + len(relation.effect))))
    return spans, unfit


def _read_relations(path: Path) -> dict[tuple[str, str], list[_Relation]]:
    relations: dict[tuple[str, str], list[_Relation]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line:
            continue
        columns = line.split("|")
        if len(columns) != 8:
            raise CorpusError(f"{path.name}, line {number}: {len(columns)} columns instead of 8")
        document, sentence, effect, effect_at, _, drug, drug_at, _ = columns
        relation = _Relation(effect, int(effect_at), drug, int(drug_at))
        relations.setdefault((document, sentence), []).append(relation)
    return relations


def load_ade(folder: Path) -> list[Sentence]:
    """ADE-Corpus-V2 from its original files DRUG-AE.rel and ADE-NEG.txt.

    Raises CorpusError for a line that does not read, or a relation that no shift fits.
    """
    sentences = []
    for (document, text), relations in _read_relations(folder / "DRUG-AE.rel").items():
        spans, unfit = _spans(text, relations)
        if unfit:
            raise CorpusError(f"DRUG-AE.rel: {unfit} relation(s) of document {document} fit no place in their sentence")
        drugs = tuple(sorted({drug for drug, _ in spans}))
        effects = tuple(sorted({effect for _, effect in spans}))
        pairs = frozenset((drugs.index(drug), effects.index(effect)) for drug, effect in spans)
        sentences.append(Sentence(text, document, "ade", True, drugs, effects, pairs))
    path = folder / "ADE-NEG.txt"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line:
            continue
        document, mark, text = line.partition(" NEG ")
        if not mark:
            raise CorpusError(f"{path.name}, line {number}: no ' NEG ' after the document id")
        sentences.append(Sentence(text, document, "ade", False))
    return sentences
