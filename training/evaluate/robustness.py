"""What spelling, case, abbreviations and unknown drugs cost: the development fold read again in other words.

Calibration and thresholds stay those of the unchanged sentences, since nobody calibrates a system anew for a clumsy
typist. A change is taken over the same resampled documents as the figure that it is a change of.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.data import Sentence
from training.evaluate.development import Measured, Reader, span_rows
from training.evaluate.metrics import Resampling, documents_of, f1s
from training.evaluate.perturb import PERTURBATIONS, Perturbation, unseen_drugs
from training.names import kept_for_testing

SPANS = ("DRUG F1", "EFFECT F1")


def _column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def generics(data: Path) -> list[str]:
    """One-word names that DrugBank and RxNorm share, lower case, sorted."""
    sold = {name.casefold() for name in _column(data / "vocab_rxnorm_names" / "rxnorm_druglist.csv", "rxnorm_druglist")}
    names = _column(data / "vocab_drugbank_open" / "drugbank_vocabulary.csv", "Common name")
    return sorted({n.lower() for n in names if re.fullmatch(r"[A-Z][a-z]{4,}", n) and n.casefold() in sold})


def drug_perturbation(data: Path, training: Sequence[Sentence]) -> Perturbation:
    """Drugs to names that neither a training sentence nor (by `training.names`) an augmented one can hold.

    Known drugs, to be found where nothing is marked: the generics, and the marked drugs of training that are one word.
    """
    read = {word for s in training for word in re.findall(r"[a-z]+", s.text.lower())}
    names = generics(data)
    marked = {s.text[a:b] for s in training for a, b in s.drugs}
    known = {*names, *(name for name in marked if re.fullmatch(r"[A-Za-z]{5,}", name))}
    return unseen_drugs(known, [name for name in names if kept_for_testing(name) and name not in read])


def robustness_row(measured: Measured, changed: Sequence[Sentence], reader: Reader) -> dict[str, Any]:
    """Sentence and span F1 of the changed sentences, and their difference to the unchanged ones."""
    raws = reader([s.text for s in changed])
    after = Measured.of(changed, raws, measured.cross_fit)
    resampling = Resampling(documents_of(measured.sentences))
    row: dict[str, Any] = {
        "changed": sum(a.text != b.text for a, b in zip(measured.sentences, changed, strict=True)) / len(changed),
        "sentence F1": resampling.of_counts(after.hits, f1s),
        "sentence F1, change": resampling.of_difference(after.hits, measured.hits, f1s),
    }
    chosen = [i for i, s in enumerate(measured.sentences) if s.positive]
    resampling = Resampling([measured.sentences[i].document for i in chosen])
    before_rows = [span_rows(measured.sentences[i], measured.raws[i]) for i in chosen]
    after_rows = [span_rows(changed[i], raws[i]) for i in chosen]
    for name in SPANS:
        now, then = (np.array([row[name] for row in rows]) for rows in (after_rows, before_rows))
        row[name] = resampling.of_counts(now, f1s)
        row[f"{name}, change"] = resampling.of_difference(now, then, f1s)
    return row


def robustness_figures(
    measured: Measured, reader: Reader, data: Path, training: Sequence[Sentence]
) -> dict[str, dict[str, Any]]:
    """{perturbation: its description and row}."""
    figures: dict[str, dict[str, Any]] = {}
    for perturbation in (*PERTURBATIONS, drug_perturbation(data, training)):
        changed = [perturbation(sentence) for sentence in measured.sentences]
        row = robustness_row(measured, changed, reader)
        figures[perturbation.name] = {"description": perturbation.description} | row
    return figures
