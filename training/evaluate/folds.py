"""The figures of all ten folds: fit, export and measure once a fold, each fold's results kept, finished folds skipped.

A teacher must not have read the fold that its student is judged on. So a teacher among the passed-through options has
to be named with `{fold}` in it, one teacher a fold, and its own recipe has to say that fold.

The pooled figures join the folds' development sentences. A score of one model is not comparable with another's, so
pooled AUROC and average precision are over calibrated probabilities, each cross-fitted within its fold.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.artefact import Artefact, load_artefact
from streams.errors import ConfigurationError
from training.data import FOLDS
from training.evaluate.calibration import brier_interval, calibration_figures, ece_interval
from training.evaluate.development import Measured, sentence_figures, span_figures, span_rows, thresholded_rows
from training.evaluate.measure import Bench, plain
from training.evaluate.metrics import Resampling, auroc, average_precision, f1s, precisions, recalls, sentence_hits
from training.evaluate.outside import calibration_of, psytar_figures
from training.provenance import stamp

Fit = Callable[[int, Path], None]
Export = Callable[[Path, Path], Artefact]


def chosen_folds(text: str) -> list[int]:
    """The folds that a text names. Raises ConfigurationError for what is none.

    >>> chosen_folds("0-2,7")
    [0, 1, 2, 7]
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ConfigurationError(f"folds are numbers and ranges such as 0-4,7: {text!r}")
        found |= set(range(int(first), int(last if dash else first) + 1))
    if not found or max(found) >= FOLDS:
        raise ConfigurationError(f"there are folds 0 to {FOLDS - 1}: {text!r}")
    return sorted(found)


def options_of(passed: Sequence[str], fold: int) -> list[str]:
    """The options of one fold's fit: `{fold}` filled in. Raises ConfigurationError for what the runner decides itself,
    and for a teacher that has read the fold.
    """
    options = [option.replace("{fold}", str(fold)) for option in passed]
    for at, option in enumerate(options):
        name, _, value = option.partition("=")
        if name in ("--fold", "--out", "--resume"):
            raise ConfigurationError(f"{name} is the runner's own to set")
        if name == "--teacher":
            folder = value or (options[at + 1] if at + 1 < len(options) else "")
            _check_teacher(Path(folder), fold)
    return options


def _check_teacher(folder: Path, fold: int) -> None:
    recipe = folder / "recipe.json"
    if not recipe.is_file():
        raise ConfigurationError(f"{folder}: no teacher's recipe.json; name one teacher a fold, as in teacher-{{fold}}")
    held = json.loads(recipe.read_text(encoding="utf-8")).get("fold")
    if held != fold:
        raise ConfigurationError(f"{folder} held fold {held} back and has read fold {fold}: its student would know it")


def fit_by_command(passed: Sequence[str]) -> Fit:
    """Fit in a process of its own, so that each fold starts with the memory of none; goes on from a checkpoint."""

    def fit(fold: int, out: Path) -> None:
        options = [*options_of(passed, fold), "--fold", str(fold), "--out", str(out)]
        if (out / "checkpoint.pt").exists():
            options.append("--resume")
        subprocess.run([sys.executable, "-m", "training.fit", *options], check=True)

    return fit


def exported(precision: str, threads: int = 2) -> Export:
    """Export a run in one precision (int8 or fp32), calibrated on its own development fold."""

    def export(run: Path, data: Path) -> Artefact:
        from training.export.run import export_run, held_out
        from training.export.weights import read_run

        trained = read_run(run)
        made = export_run(trained, held_out(trained, data), (precision,), threads)  # type: ignore[arg-type]
        return load_artefact(next(iter(made.values())).folder)

    return export


def rows_of(measured: Measured) -> dict[str, Any]:
    """What pooling needs of a fold: a line for each development sentence."""
    spans = [
        span_rows(s, raw) | thresholded_rows(s, raw, measured.cross_fit.for_(s))
        for s, raw in zip(measured.sentences, measured.raws, strict=True)
    ]
    return {
        "document": [s.document for s in measured.sentences],
        "positive": measured.labels.tolist(),
        "probability": measured.probabilities.tolist(),
        "threshold": measured.thresholds.tolist(),
        "hits": {name: [list(row[name]) for row in spans] for name in spans[0]},
    }


def measured_fold(artefact: Artefact, data: Path, threads: int) -> dict[str, Any]:
    """Figures of one fold's artefact on its development fold and on PsyTAR, and the rows for pooling."""
    bench = Bench(artefact, data, threads)
    judged = bench.development
    figures: dict[str, Any] = {**sentence_figures(judged), **span_figures(judged)}
    figures |= calibration_figures(judged)["Platt"]
    figures |= psytar_figures(bench.psytar.development, bench.psytar_raws, calibration_of(artefact))
    bench.classifier.close()
    return {"model": artefact.model, "figures": figures, "rows": rows_of(judged)}


def run_folds(folds: Sequence[int], out: Path, data: Path, fit: Fit, export: Export, *, threads: int = 2) -> None:
    """Fit, export and measure each fold that `<out>/<fold>.json` does not yet hold; say what the rest will cost."""
    waiting = [fold for fold in folds if not (out / f"{fold}.json").exists()]
    for done, fold in enumerate(waiting):
        run, begun = out / f"fold-{fold}", time.monotonic()
        run.mkdir(parents=True, exist_ok=True)
        if not (run / "model.safetensors").exists():
            fit(fold, run)
        fitted = time.monotonic()
        found = measured_fold(export(run, data), data, threads)
        seconds = {"fit": round(fitted - begun, 1), "export and measure": round(time.monotonic() - fitted, 1)}
        _write(out / f"{fold}.json", {"fold": fold, "seconds": seconds, **found, **stamp("vigilia train folds")})
        left, cost = len(waiting) - done - 1, sum(seconds.values())
        print(
            f"fold {fold}: F1 {found['figures']['sentence F1'][0]:.3f}, {cost / 60:.1f} minutes;"
            f" {left} left, about {left * cost / 60:.0f} minutes",
            file=sys.stderr,
            flush=True,
        )


def _write(path: Path, value: dict[str, Any]) -> None:
    """All of it or nothing: an interrupted fold is not taken for a finished one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(plain(value)) + "\n", encoding="utf-8")
    partial.replace(path)


# ---------------------------------------------------------------- pooled


def pooled(folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all folds' development sentences together."""
    joined = {key: [x for fold in folds for x in fold["rows"][key]] for key in ("document", "positive", "probability")}
    thresholds = np.array([x for fold in folds for x in fold["rows"]["threshold"]])
    documents, labels = joined["document"], np.array(joined["positive"])
    probabilities = np.array(joined["probability"])
    resampling = Resampling(documents)
    hits = sentence_hits(probabilities, labels, thresholds)
    figures: dict[str, Any] = {
        "sentence F1": resampling.of_counts(hits, f1s),
        "sentence precision": resampling.of_counts(hits, precisions),
        "sentence recall": resampling.of_counts(hits, recalls),
        "AUROC": resampling.of_ranking(probabilities, labels, auroc),
        "average precision": resampling.of_ranking(probabilities, labels, average_precision),
        "ECE": ece_interval(documents, probabilities, labels),
        "Brier": brier_interval(documents, probabilities, labels),
    }
    positive = Resampling([document for document, label in zip(documents, labels, strict=True) if label])
    for name in folds[0]["rows"]["hits"]:
        rows = np.array([row for fold in folds for row in fold["rows"]["hits"][name]])
        figures[name] = positive.of_counts(rows[labels], f1s)
    return figures


def read_folds(folder: Path) -> dict[str, Any]:
    """Pooled and per-fold figures, and the seconds that they cost. Raises ConfigurationError where there are none."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("[0-9].json"))]
    if not found:
        raise ConfigurationError(f"{folder} holds no finished fold: vigilia train folds --out {folder}")
    each = {str(fold["fold"]): fold["figures"] for fold in found}
    return {"pooled": pooled(found), "each": each, "seconds": sum(sum(f["seconds"].values()) for f in found)}
