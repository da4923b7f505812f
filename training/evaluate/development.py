"""Measure an artefact on the development fold and on PsyTAR's: `python -m training.evaluate --artefact FOLDER`.

What decides on a sentence (threshold, calibration) must not have seen it. The artefact's own were fitted on the whole
development fold, so the figures here come from cross-fitting: the documents are halved by a hash, each half is judged
with calibration and threshold from the other half. AUROC, average precision and spans need neither.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.artefact import Artefact, load_artefact, shipped_folder
from inference.calibration import expected_calibration_error
from inference.onnx import OnnxClassifier, Raw
from training.data import Sentence, fold_of, load_ade, split_ade, split_psytar
from training.evaluate.metrics import (
    Interval,
    auroc,
    average_precision,
    bootstrap,
    documents_of,
    f1_interval,
    sentence_hits,
    set_hits,
)
from training.export import calibrate

HALVES_SEED = 2


def cross_fitted(sentences: Sequence[Sentence], raws: Sequence[Raw]) -> tuple[Any, Any]:
    """(probability, threshold) of each sentence, both from the half of the documents that it is not in."""
    half = [fold_of(s.document, HALVES_SEED, 2) for s in sentences]
    probabilities, thresholds = np.zeros(len(sentences)), np.zeros(len(sentences))
    for side in (0, 1):
        fitted = [i for i, which in enumerate(half) if which != side]
        platt, _, threshold, _ = calibrate([sentences[i] for i in fitted], [raws[i] for i in fitted])
        for i in [i for i, which in enumerate(half) if which == side]:
            probabilities[i] = platt.probability(raws[i].logit)
            thresholds[i] = threshold
    return probabilities, thresholds


def measure_ade(sentences: Sequence[Sentence], raws: Sequence[Raw]) -> dict[str, Interval | float]:
    """Every figure of the development fold."""
    documents = documents_of(sentences)
    labels = np.array([s.positive for s in sentences])
    logits = np.array([raw.logit for raw in raws])
    probabilities, thresholds = cross_fitted(sentences, raws)
    hits = sentence_hits(probabilities, labels, thresholds)
    area = bootstrap(documents, lambda rows: auroc(logits[rows], labels[rows]))
    precision = bootstrap(documents, lambda rows: average_precision(logits[rows], labels[rows]))
    true, false, missed = hits.sum(axis=0)
    figures: dict[str, Interval | float] = {
        "sentence F1": f1_interval(documents, hits),
        "sentence precision": float(true / (true + false)),
        "sentence recall": float(true / (true + missed)),
        "AUROC": Interval(auroc(logits, labels), *area),
        "average precision": Interval(average_precision(logits, labels), *precision),
        "ECE": expected_calibration_error(probabilities, labels),
        "Brier": float(((probabilities - labels) ** 2).mean()),
    }
    return figures | measure_spans(sentences, raws)


def measure_spans(sentences: Sequence[Sentence], raws: Sequence[Raw]) -> dict[str, Interval | float]:
    """Strict (exact characters) span and pair F1, micro-averaged over the positive sentences."""
    positives = [(s, raw) for s, raw in zip(sentences, raws, strict=True) if s.positive]
    documents = [s.document for s, _ in positives]
    rows: dict[str, list[Any]] = {"DRUG F1": [], "EFFECT F1": [], "pair F1": []}
    for sentence, raw in positives:
        drugs = [(span.start, span.end) for span in raw.drugs]
        effects = [(span.start, span.end) for span in raw.effects]
        gold = {(sentence.drugs[d], sentence.effects[e]) for d, e in sentence.pairs}
        rows["DRUG F1"].append(set_hits(set(drugs), set(sentence.drugs)))
        rows["EFFECT F1"].append(set_hits(set(effects), set(sentence.effects)))
        rows["pair F1"].append(set_hits({(d, e) for d in drugs for e in effects}, gold))
    return {name: f1_interval(documents, np.array(hits)) for name, hits in rows.items()}


def measure_psytar(
    sentences: Sequence[Sentence], artefact: Artefact, raws: Sequence[Raw]
) -> dict[str, Interval | float]:
    """Patients' language, with the artefact's own calibration and threshold, which never saw PsyTAR."""
    platt, threshold = artefact.manifest.sentence, artefact.manifest.threshold
    probabilities = np.array([platt.probability(raw.logit) for raw in raws])
    kept = np.array([not s.withdrawal_only for s in sentences])
    labels = np.array([s.positive for s in sentences])
    either = np.array([s.positive or s.withdrawal_only for s in sentences])
    documents = documents_of(sentences)
    hits = sentence_hits(probabilities, labels, np.full(len(labels), threshold))
    with_withdrawal = sentence_hits(probabilities, either, np.full(len(labels), threshold))
    chosen = [d for d, keep in zip(documents, kept, strict=True) if keep]
    return {
        "PsyTAR F1": f1_interval(documents, hits),
        "PsyTAR F1, withdrawal-only left out": f1_interval(chosen, hits[kept]),
        "PsyTAR F1, withdrawal counted": f1_interval(documents, with_withdrawal),
        "PsyTAR AUROC": auroc(probabilities, labels),
    }


def measure(artefact: Artefact, data: Path, threads: int = 2) -> dict[str, Interval | float]:
    """Every figure of an artefact."""
    fold = int(artefact.manifest.trained["development_fold"])
    development = split_ade(load_ade(data / "ade_corpus_v2"), fold).development
    patients = split_psytar(data / "psytar").development
    classifier = OnnxClassifier(artefact, threads=threads)
    raws = classifier.raw([s.text for s in development])
    patient_raws = classifier.raw([s.text for s in patients])
    classifier.close()
    return measure_ade(development, raws) | measure_psytar(patients, artefact, patient_raws)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    options = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    options.add_argument("--artefact", type=Path, default=shipped_folder())
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--out", type=Path, help="also write the figures as JSON")
    given = options.parse_args(arguments)
    artefact = load_artefact(given.artefact)
    figures = measure(artefact, given.data)
    print(artefact.model)
    for name, value in figures.items():
        interval = f"[{value.low:.3f}, {value.high:.3f}]" if isinstance(value, Interval) else ""
        print(f"{name:40} {value[0] if isinstance(value, Interval) else value:.3f} {interval}")
    if given.out:
        given.out.write_text(json.dumps({"model": artefact.model, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
