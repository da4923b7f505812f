"""Labelled sentences: ADE-Corpus-V2 and PsyTAR read into one form, deduplicated, split by document.

Rules, written down so that they can be argued with:

- A document (PubMed id) is never divided: every sentence of it lies in one fold. `fold_of` is a hash of the published
  seed and the id, so a fold does not depend on what else is loaded. Development = fold 0.
- A sentence counts once. Two sentences are the same when they agree after case folding and collapsing whitespace. The
  copy of the smallest document id stays; a copy in development is never also in training ("Case report." is both).
- Label conflicts: a sentence with an annotated drug-effect relation is positive wherever else it is called negative.
- PsyTAR: positive = an adverse drug reaction (ADR) is marked. A sentence that only marks withdrawal symptoms (WD) is an
  adverse event to a pharmacologist and not one to the corpus: it is left out of training and of the headline figure.
- ADE-Corpus offsets count from the abstract's start. One shift a relation maps both of its spans into the sentence.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEED = 20261122  # published: the ten folds of every figure in docs/results/model.md
FOLDS = 10

Range = tuple[int, int]


class CorpusError(ValueError):
    """A corpus file does not read as documented; the message names file and line."""


@dataclass(frozen=True)
class Sentence:
    """One labelled sentence. Ranges are character offsets, end exclusive; `pairs` index `drugs` and `effects`.

    `spans_known` is False where the corpus marks no drug and effect (PsyTAR, negatives): no span loss is taken there.
    """

    text: str
    document: str
    corpus: str
    positive: bool
    drugs: tuple[Range, ...] = ()
    effects: tuple[Range, ...] = ()
    pairs: frozenset[tuple[int, int]] = frozenset()
    withdrawal_only: bool = False

    @property
    def spans_known(self) -> bool:
        """Whether the corpus marks drugs and effects here."""
        return bool(self.drugs or self.effects)


@dataclass
class Split:
    """Training and development sentences, and what was removed on the way."""

    training: list[Sentence]
    development: list[Sentence]
    removed: dict[str, int] = field(default_factory=dict)


def normal_form(text: str) -> str:
    """What two sentences must share to be the same sentence."""
    return re.sub(r"\s+", " ", text).strip().casefold()


def fold_of(document: str, seed: int = SEED, folds: int = FOLDS) -> int:
    """The fold of a document: a hash of seed and id, so independent of every other document.

    >>> fold_of("10048291") == fold_of("10048291")
    True
    """
    digest = hashlib.sha256(f"{seed}:{document}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % folds


# ---------------------------------------------------------------- ADE-Corpus-V2


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


# ---------------------------------------------------------------- PsyTAR


def load_psytar(path: Path) -> list[Sentence]:
    """Sentence labels of PsyTAR (tab separated, quoted newlines). Documents are not named in it: each is its own."""
    sentences = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        header = next(rows)
        if header[:3] != ["sentences", "ADR", "WD"]:
            raise CorpusError(f"{path.name}, line 1: columns {header[:3]} instead of sentences, ADR, WD")
        for row in rows:
            if len(row) != len(header):
                raise CorpusError(f"{path.name}, line {rows.line_num}: {len(row)} columns instead of {len(header)}")
            reaction, withdrawal = row[1] == "1", row[2] == "1"
            document = "psytar:" + hashlib.sha256(normal_form(row[0]).encode()).hexdigest()[:12]
            sentences.append(
                Sentence(row[0], document, "psytar", reaction, withdrawal_only=withdrawal and not reaction)
            )
    return sentences


# ---------------------------------------------------------------- one set out of several


def deduplicate(sentences: Iterable[Sentence]) -> tuple[list[Sentence], dict[str, int]]:
    """One sentence a normal form (positive before negative, then smallest document), and the counts of what went.

    >>> a = Sentence("Case report.", "2", "ade", False)
    >>> deduplicate([a, Sentence("Case report.", "1", "ade", False)])[0][0].document
    '1'
    """
    best: dict[str, Sentence] = {}
    removed = {"duplicate": 0, "conflict": 0}
    for sentence in sentences:
        key = normal_form(sentence.text)
        other = best.setdefault(key, sentence)
        if other is sentence:
            continue
        removed["duplicate" if other.positive == sentence.positive else "conflict"] += 1
        if (not sentence.positive, sentence.document) < (not other.positive, other.document):
            best[key] = sentence
    return list(best.values()), removed


def split_ade(sentences: Iterable[Sentence], fold: int = 0, seed: int = SEED) -> Split:
    """Development = the documents of one fold; training = the others, without any sentence development also has.

    The copies of development are judged before duplicates are removed, so no copy can hide in another document.
    """
    everything = list(sentences)
    held = [s for s in everything if fold_of(s.document, seed) == fold]
    rest = [s for s in everything if fold_of(s.document, seed) != fold]
    development, removed = deduplicate(held)
    known = {normal_form(s.text) for s in development}
    clean = [s for s in rest if normal_form(s.text) not in known]
    training, removed_training = deduplicate(clean)
    counts = {f"development_{reason}": n for reason, n in removed.items()}
    counts |= {f"training_{reason}": n for reason, n in removed_training.items()}
    counts["training_also_in_development"] = len(rest) - len(clean)
    return Split(training, development, counts)


def split_psytar(folder: Path) -> Split:
    """The publisher's training and development files; sentences of both stay in development only."""
    development, removed = deduplicate(load_psytar(folder / "binary" / "dev.csv"))
    known = {normal_form(s.text) for s in development}
    rest = load_psytar(folder / "binary" / "train.csv")
    clean = [s for s in rest if normal_form(s.text) not in known]
    training, removed_training = deduplicate(s for s in clean if not s.withdrawal_only)
    counts = {f"development_{reason}": n for reason, n in removed.items()}
    counts |= {f"training_{reason}": n for reason, n in removed_training.items()}
    counts["training_also_in_development"] = len(rest) - len(clean)
    counts["training_withdrawal_only"] = sum(s.withdrawal_only for s in clean)
    return Split(training, development, counts)


__all__ = [
    "FOLDS",
    "SEED",
    "CorpusError",
    "Sentence",
    "Split",
    "deduplicate",
    "fold_of",
    "load_ade",
    "load_psytar",
    "normal_form",
    "split_ade",
    "split_psytar",
]
