"""The page of results, docs/results/model.md: every figure with the command, date, commit and machine it comes from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference.artefact import Artefact
from training.data import SEED
from training.provenance import commit, machine, size_mb

# First targets of the shipped model.
TARGETS: dict[str, float] = {
    "sentence F1": 0.82,
    "AUROC": 0.969,
    "DRUG F1": 0.90,
    "EFFECT F1": 0.72,
    "pair F1": 0.66,
    "PsyTAR F1": 0.80,
    "ECE": 0.03,
}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    middle, low, high = value
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def _rows(reference: dict[str, Any], shipped: dict[str, Any]) -> list[str]:
    rows = []
    for name, value in shipped.items():
        target = f"{TARGETS[name]:g}" if name in TARGETS else ""
        rows.append(f"| {name} | {_cell(reference[name])} | {_cell(value)} | {target} |")
    return rows


def _training(run: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of the fit, and the counts of the data, from its log (the last run in it)."""
    seconds, data = 0.0, {}
    for line in (run / "fit.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["event"] == "data":
            data = record
        seconds = float(record["seconds"])
    return seconds, data


def write_card(path: Path, run: Path, reference: Artefact, shipped: Artefact, results: dict[str, Any]) -> None:
    """Write the page from what was measured; nothing in it is typed by hand."""
    seconds, data = _training(run)
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    first, second = (results[a.folder.name]["figures"] for a in (reference, shipped))
    removed = {k: v for k, v in data.items() if k not in ("event", "seconds", "training", "development", "psytar")}
    lines = [
        "# The shipped model",
        "",
        f"`{shipped.model}` ({size_mb(shipped.folder):.1f} MB in the repository), measured on"
        f" {datetime.now(UTC):%Y-%m-%d} at commit {commit()} on {machine()}.",
        "",
        f"Command: `make train` = `python -m training --seed {recipe['seed']} --precision {recipe['precision']}`."
        f" Fitting took {seconds / 60:.0f} minutes on this machine while other work ran on it.",
        "",
        "| | float32, whole vocabulary | shipped (int8 by row, cut vocabulary) | target |",
        "|---|---|---|---|",
        *_rows(first, second),
        "",
        "Intervals: 95%, percentiles of 1,000 bootstrap resamples of whole documents (PsyTAR names no documents: of"
        " sentences).",
        "",
        "## How it was measured",
        "",
        f"- ADE-Corpus-V2 without the sealed part, split by PubMed id into 10 folds (seed {SEED});"
        f" development = fold {recipe['fold']}: {data.get('development')} sentences, none of whose documents is in"
        f" training ({data.get('training')} sentences). Removed: "
        + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in removed.items())
        + ".",
        "- Sentence F1, ECE and Brier are cross-fitted: the fold's documents are halved, each half is judged with"
        " calibration and threshold from the other. AUROC, average precision, spans and pairs need neither.",
        "- DRUG, EFFECT and pair F1: exact characters, positive sentences, all pairs in a sentence; micro-averaged.",
        f"- PsyTAR: its published development file ({data.get('psytar')} sentences of the training file were trained"
        " on), with the shipped threshold; positive = an adverse reaction is marked. Withdrawal-only sentences count as"
        " negative in the first row, are left out in the second and count as positive in the third.",
        "- One fold's positives are about 320 sentences: differences under two points are noise.",
        "",
        "## Limits",
        "",
        "- It learnt from abstracts of case reports and from posts of patients on psychiatric drugs. What it does on"
        " clinical notes is in [notes.md](notes.md).",
        "- A sentence is read without its neighbours: a drug in one sentence and its effect in the next are no pair.",
        "- Published figures (.93 sentence F1, .91/.83 and .89/.79 for spans) come from larger models, random splits"
        " that leak repeated sentences, or positive sentences only.",
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
