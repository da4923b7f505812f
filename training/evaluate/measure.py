"""Measure an artefact part by part: data and readings that parts share, each part's figures stamped, kept as JSON."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from inference.artefact import Artefact
from inference.graph import Raw
from inference.onnx import OnnxClassifier
from training.data import Sentence, Split, fold_of, load_ade, load_ncbi, load_phee, split_ade, split_psytar
from training.evaluate.baselines import baseline_figures
from training.evaluate.calibration import calibration_figures, reliability, scalings
from training.evaluate.development import Measured, curve, sentence_figures, span_figures
from training.evaluate.outside import calibration_of, load_phee_fold, phee_figures, psytar_figures, read_notes
from training.evaluate.robustness import robustness_figures
from training.evaluate.subgroups import subgroup_figures
from training.provenance import size_mb, stamp

SAMPLE_SEED = 3


@dataclass
class Bench:
    """An artefact with the data it is measured on. Data and readings that several parts need are made once.

    `share` < 1 keeps only that share of the documents: to try things, never for a figure.
    """

    artefact: Artefact
    data: Path
    threads: int = 2
    share: float = 1.0
    classifier: OnnxClassifier = field(init=False)

    def __post_init__(self) -> None:
        self.classifier = OnnxClassifier(self.artefact, threads=self.threads)

    def read(self, texts: Sequence[str]) -> list[Raw]:
        """What the model says, uncalibrated."""
        return self.classifier.raw(texts)

    @property
    def fold(self) -> int:
        """The fold whose documents the artefact was not trained on."""
        return int(self.artefact.manifest.trained.get("development_fold", 0))

    def _sampled(self, split: Split) -> Split:
        kept = [s for s in split.development if fold_of(s.document, SAMPLE_SEED, 100) < 100 * self.share]
        return Split(split.training, kept, split.removed)

    @cached_property
    def ade(self) -> Split:
        """ADE-Corpus-V2 without the artefact's development fold, and that fold."""
        return self._sampled(split_ade(load_ade(self.data / "ade_corpus_v2"), self.fold))

    @cached_property
    def psytar(self) -> Split:
        """PsyTAR's published training and development files."""
        return self._sampled(split_psytar(self.data / "psytar"))

    @cached_property
    def psytar_raws(self) -> list[Raw]:
        """PsyTAR's development file, read."""
        return self.read([s.text for s in self.psytar.development])

    @cached_property
    def phee(self) -> Measured:
        """PHEE's sentences of the development fold's documents, judged as that fold is."""
        sentences = load_phee_fold(self.data, self.fold, self.ade.training)
        sentences = self._sampled(Split([], sentences)).development
        return Measured.of(sentences, self.read([s.text for s in sentences]), self.development.cross_fit)

    @cached_property
    def training(self) -> list[Sentence]:
        """What the artefact was trained on, of both corpora."""
        return self.ade.training + self.psytar.training

    @cached_property
    def unlabelled(self) -> list[Sentence]:
        """Sentences of the other corpora that a distillation may have read."""
        further = load_phee(self.data / "phee_v2") + load_ncbi(self.data / "ncbi_disease")
        return [s for s in further if fold_of(s.document) != self.fold]

    @cached_property
    def development(self) -> Measured:
        """The development fold, read and judged."""
        sentences = self.ade.development
        return Measured.of(sentences, self.read([s.text for s in sentences]))


def _development(bench: Bench) -> Any:
    """Every figure of the fold, its precision-recall curve (for the plot) and how many sentences were judged."""
    judged = bench.development
    counts = {"sentences": len(judged.labels), "positives": int(judged.labels.sum())}
    counts |= {"documents": len({s.document for s in judged.sentences})}
    figures = sentence_figures(judged) | span_figures(judged)
    return {**figures, "curve": curve(judged), "counts": counts}


def _calibration(bench: Bench) -> Any:
    """ECE and Brier of each scaling, and the bars of the reliability plot."""
    judged = bench.development
    figures: dict[str, dict[str, Any]] = {name: {**row} for name, row in calibration_figures(judged).items()}
    for name, probabilities in scalings(judged).items():
        figures[name]["bins"] = reliability(probabilities, judged.labels)
    return figures


def _psytar(bench: Bench) -> Any:
    return psytar_figures(bench.psytar.development, bench.psytar_raws, calibration_of(bench.artefact))


def _phee(bench: Bench) -> Any:
    """PHEE's F1 and ranking; `average precision` hangs on PHEE's own share of positives."""
    return phee_figures(bench.phee)


def _notes(bench: Bench) -> Any:
    return read_notes(bench.data, bench.read, calibration_of(bench.artefact), bench.share)


def _robustness(bench: Bench) -> Any:
    return robustness_figures(bench.development, bench.read, bench.data, bench.training + bench.unlabelled)


def _subgroups(bench: Bench) -> Any:
    """Groups of the development fold; and it against PHEE and PsyTAR, which the shipped calibration judges."""
    here = bench.development
    patients = bench.psytar.development
    shipped = calibration_of(bench.artefact)
    theirs = np.array([shipped.sentence.probability(raw.logit) for raw in bench.psytar_raws])
    phee = bench.phee
    return subgroup_figures(here.sentences, here.probabilities, here.thresholds) + subgroup_figures(
        [*here.sentences, *phee.sentences, *patients],
        np.concatenate([here.probabilities, phee.probabilities, theirs]),
        np.concatenate([here.thresholds, phee.thresholds, np.full(len(patients), shipped.threshold)]),
        ("source",),
    )


def _baselines(bench: Bench) -> Any:
    return baseline_figures(bench.training, bench.ade.development, bench.psytar.development)


PARTS: dict[str, Callable[[Bench], Any]] = {
    "development": _development,
    "calibration": _calibration,
    "psytar": _psytar,
    "phee": _phee,
    "notes": _notes,
    "robustness": _robustness,
    "subgroups": _subgroups,
    "baselines": _baselines,
}
COMPARED = ("development", "calibration", "psytar")  # what is measured of a reference too


def measure(bench: Bench, parts: Sequence[str], command: str) -> dict[str, Any]:
    """{part: figures, seconds and stamp} of an artefact."""
    measured: dict[str, Any] = {}
    for part in parts:
        begun = time.monotonic()
        figures = PARTS[part](bench)
        seconds = round(time.monotonic() - begun, 1)
        print(f"{part}: {seconds} s", file=sys.stderr, flush=True)
        about = {"seconds": seconds, "model": bench.artefact.model, "share": bench.share}
        measured[part] = {"figures": figures, **about, **stamp(command)}
    return measured


def described(artefact: Artefact) -> dict[str, Any]:
    """The artefact itself: size, what it was trained on, its thresholds."""
    manifest = artefact.manifest
    figures = {"megabytes": size_mb(artefact.folder), "format": manifest.format, "trained": manifest.trained}
    figures |= {"threshold": manifest.threshold, "pair_threshold": manifest.pair_threshold}
    return figures


def run_described(run: Path) -> dict[str, Any]:
    """What the folder of a run says of its fit: the recipe, the seconds, the counts of the data."""
    found: dict[str, Any] = {"recipe": json.loads((run / "recipe.json").read_text(encoding="utf-8"))}
    log = run / "fit.jsonl"
    if log.exists():
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        found["seconds"] = float(records[-1]["seconds"])
        found["data"] = next((r for r in reversed(records) if r["event"] == "data"), {})
    return found


def read_results(path: Path, model: str, share: float = 1.0) -> dict[str, Any]:
    """The parts already measured of this very artefact on the same share of the data; none if of another one."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if found.get("model") != model:
        return {}
    return {name: part for name, part in found["parts"].items() if part.get("share", share) == share}


def write_results(path: Path, model: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Write all parts as JSON and return them as written: floats of six digits, null for what is not a number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"model": model, "parts": plain(parts)}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def plain(value: Any) -> Any:
    """A value as JSON can hold it: floats of six digits, null for what is not a number."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
