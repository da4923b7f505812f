"""The mean of several runs' weights: as accurate as their ensemble, or nearly, at the cost of one model.

Runs that start from the same base and heads end in one basin of the loss, so weights between them are as good as they
or better: Wortsman et al. 2022, "Model soups", arXiv:2203.05482. Their vocabularies may have been cut differently: the
first run's is kept, and pieces that another lacks keep the first run's row.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.bases import sha256_of
from training.fit.recipe import RecipeError

__all__ = ["average"]

WEIGHTS = "model.safetensors"
TABLE = "encoder.embeddings.word_embeddings.weight"  # the one tensor whose rows are the vocabulary's


def average(runs: Sequence[Path], out: Path) -> Path:
    """Write the mean of the runs' weights to `out`, a run's folder like theirs. Returns `out`.

    Raises RecipeError for fewer than two runs, for runs of other shapes, and for runs that held out different folds:
    their mean has seen every sentence.
    """
    if len(runs) < 2:
        raise RecipeError("an average needs two runs or more")
    records = [_read(run / "recipe.json") for run in runs]
    if len(folds := {record["fold"] for record in records}) > 1:
        raise RecipeError(
            f"the runs held out different folds ({sorted(folds)}): nothing is left to judge their mean by"
        )
    tables = [load_file(run / WEIGHTS) for run in runs]
    vocabularies = [_read(run / "tokenizer.json")["model"]["vocab"] for run in runs]
    aligned = [
        _aligned(table, vocabulary, tables[0], vocabularies[0])
        for table, vocabulary in zip(tables, vocabularies, strict=True)
    ]
    for run, table in zip(runs, aligned, strict=True):
        if {n: t.shape for n, t in table.items()} != {n: t.shape for n, t in tables[0].items()}:
            raise RecipeError(f"{run}: a model of another shape than {runs[0]}")
    out.mkdir(parents=True, exist_ok=True)
    mean = {name: torch.stack([table[name] for table in aligned]).mean(0) for name in tables[0]}
    save_file(mean, out / WEIGHTS)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(runs[0] / name, out / name)
    averaged = [
        {"identity": r["identity"], "weights": sha256_of(run / WEIGHTS)} for r, run in zip(records, runs, strict=True)
    ]
    identity = hashlib.sha256(json.dumps(averaged).encode()).hexdigest()
    record = {**records[0], "identity": identity, "averaged": averaged}
    (out / "recipe.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return out


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; `vigilia train fit` leaves it in its --out") from None
    return found


def _aligned(
    table: dict[str, Tensor], vocabulary: dict[str, int], first: dict[str, Tensor], kept: dict[str, int]
) -> dict[str, Tensor]:
    """A run's tensors, its rows of pieces in the order of the first run's vocabulary."""
    rows = first[TABLE].clone()
    for piece, index in kept.items():
        if piece in vocabulary:
            rows[index] = table[TABLE][vocabulary[piece]]
    return {**table, TABLE: rows}
