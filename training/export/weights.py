"""What a run of training left, as arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from training.export.graph import Shape

WORDS = "encoder.embeddings.word_embeddings.weight"
PLACES = "encoder.embeddings.position_embeddings.weight"


@dataclass(frozen=True)
class Trained:
    """What a run of training left: weights, encoder shape, tokenizer.json as text, recipe."""

    weights: Mapping[str, Any]
    shape: Shape
    tokenizer: str
    recipe: dict[str, Any]


def read_run(run: Path) -> Trained:
    """Read the folder that `training.fit` wrote."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    shape = Shape(
        int(config["num_hidden_layers"]),
        int(config["num_attention_heads"]),
        int(config["hidden_size"]),
        float(config["layer_norm_eps"]),
    )
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    tokenizer = (run / "tokenizer.json").read_text(encoding="utf-8")
    return Trained(load_file(run / "model.safetensors"), shape, tokenizer, recipe)
