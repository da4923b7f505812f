"""Sentences without labels that teachers can label: narratives, notes, abstracts. Nothing of the development fold.

In equal parts from VAERS narratives, notes (the training files of MTS-Dialog and ACI-Bench), PHEE and NCBI Disease
(whose PubMed ids say the fold). A sentence that the development fold also holds is left out wherever it comes from.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

from streams.assess.sentences import sentences_of
from training.batches import UNLABELLED
from training.data import Sentence, fold_of, normal_form
from training.vocabulary import narratives

NARRATIVES = 6000  # reports that are read for sentences
LENGTHS = range(15, 400)  # characters: shorter says nothing, longer is cut by the tokenizer anyway


def _vaers(data: Path) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(narratives(data / "vaers_1990_2006", NARRATIVES)):
        yield f"vaers:{number}", text


def _notes(data: Path) -> Iterator[tuple[str, str]]:
    for path, column in (
        (data / "notes_mts_dialog" / "MTS-Dialog-TrainingSet.csv", "section_text"),
        (data / "notes_aci_bench" / "train.csv", "note"),
    ):
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                for number, row in enumerate(csv.DictReader(file)):
                    yield f"{path.parent.name}:{number}", row[column]


def _phee(data: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((data / "phee_v2").glob("*.json")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                yield str(record["id"]).partition("_")[0], str(record["context"])


def _ncbi(data: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((data / "ncbi_disease").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            document, kind, text = [*line.split("|", 2), "", ""][:3]
            if kind in ("t", "a"):
                yield document, text


SOURCES = {"vaers": _vaers, "notes": _notes, "phee": _phee, "ncbi": _ncbi}


def unlabelled(data: Path, count: int, fold: int, taken: set[str], rng: random.Random) -> list[Sentence]:
    """About `count` sentences, each source's part drawn at random; `taken` are normal forms that may not come."""
    chosen: list[Sentence] = []
    seen = set(taken)
    for name, read in SOURCES.items():
        pool = []
        for document, text in read(data):
            if document.isdigit() and fold_of(document) == fold:
                continue
            for sentence in sentences_of(text):
                key = normal_form(sentence)
                if len(sentence) in LENGTHS and key not in seen:
                    seen.add(key)
                    pool.append(Sentence(sentence, document, UNLABELLED + name, False))
        chosen += rng.sample(pool, min(len(pool), -(-count // len(SOURCES))))
    return chosen[:count] if len(chosen) > count else chosen
