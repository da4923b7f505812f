"""What a run of training left, as arrays under names that do not depend on the kind of encoder.

Two kinds are known: BERT (the student's) and MPNet (the teacher's), which has no segments, counts places from 2, and
adds to every score of attention a learnt number for the distance between the two pieces.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from training.export.graph import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[Any]]

HEADS = ("sentence.", "drug.", "effect.", "pair_")
FIRST_PLACE = 2  # MPNet's: padding is place 1
LONGEST_DISTANCE = 128  # MPNet's: distances beyond share one number


class ExportError(ValueError):
    """A run can't be exported; the message says why."""


@dataclass(frozen=True)
class Trained:
    """What a run of training left. `recipe` is recipe.json as it is."""

    folder: Path
    weights: Mapping[str, Any]
    shape: Shape
    tokenizer: str
    recipe: dict[str, Any]

    @property
    def max_length(self) -> int:
        """Pieces of the longest sentence it was trained on, special ones included."""
        return int(self.recipe["max_length"])

    @property
    def base(self) -> str:
        """Short name of the base model: `minilm`, `mpnet`, or the last part of a folder's path."""
        return Path(str(self.recipe.get("base", "minilm"))).name


def read_run(run: Path) -> Trained:
    """Read the folder that `training.fit` wrote. Raises ExportError for an encoder that no graph is known of."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    kind, activation = config.get("model_type"), config.get("hidden_act")
    if kind not in ENCODERS or activation != "gelu":
        raise ExportError(f"{run / 'config.json'}: {kind} with {activation}; known are {', '.join(ENCODERS)} with gelu")
    shape = Shape(
        int(config["num_hidden_layers"]),
        int(config["num_attention_heads"]),
        int(config["hidden_size"]),
        float(config["layer_norm_eps"]),
    )
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    tokenizer = (run / "tokenizer.json").read_text(encoding="utf-8")
    found = load_file(run / "model.safetensors")
    weights = {name: value for name, value in found.items() if name.startswith(HEADS)}
    weights |= ENCODERS[kind](found, shape, int(recipe["max_length"]))
    return Trained(run, weights, shape, tokenizer, recipe)


def _renamed(found: Weights, prefix: str, names: Mapping[str, str]) -> Weights:
    """Weight and bias of each layer, from its name in the encoder to the graph's."""
    return {
        f"{new}.{kind}": found[f"{prefix}.{old}.{kind}"] for old, new in names.items() for kind in ("weight", "bias")
    }


_AFTER_ATTENTION = {
    "intermediate.dense": "inner",
    "output.dense": "outer",
    "output.LayerNorm": "norm2",
}


def _layers(found: Weights, shape: Shape, attention: dict[str, str]) -> Weights:
    weights = _renamed(found, "encoder.embeddings", {"LayerNorm": "embedded"})
    for index in range(shape.layers):
        names = {old: f"layer{index}.{new}" for old, new in (attention | _AFTER_ATTENTION).items()}
        weights |= _renamed(found, f"encoder.encoder.layer.{index}", names)
    return weights | {"words": found["encoder.embeddings.word_embeddings.weight"]}


def bert(found: Weights, shape: Shape, longest: int) -> Weights:
    """The graph's weights from those of a transformers.BertModel."""
    attention = {f"attention.self.{part}": part for part in ("query", "key", "value")}
    attention |= {"attention.output.dense": "attended", "attention.output.LayerNorm": "norm1"}
    places = found["encoder.embeddings.position_embeddings.weight"][:longest]
    first_segment = found["encoder.embeddings.token_type_embeddings.weight"][0]
    return _layers(found, shape, attention) | {"places": places + first_segment}


def mpnet(found: Weights, shape: Shape, longest: int) -> Weights:
    """The graph's weights from those of a transformers.MPNetModel."""
    attention = {f"attention.attn.{part[0]}": part for part in ("query", "key", "value")}
    attention |= {"attention.attn.o": "attended", "attention.LayerNorm": "norm1"}
    places = found["encoder.embeddings.position_embeddings.weight"][FIRST_PLACE : FIRST_PLACE + longest]
    table = found["encoder.encoder.relative_attention_bias.weight"]
    distance = table[distance_buckets(longest, len(table))].transpose(2, 0, 1)
    return _layers(found, shape, attention) | {"places": places, "distance": distance}


def distance_buckets(longest: int, buckets: int) -> NDArray[np.int64]:
    """[from, to] the row of MPNet's table for the distance of two pieces.

    Half of the rows are for pieces to the left, half for those to the right; of each half, the first half is for one
    distance each, the others grow logarithmically up to LONGEST_DISTANCE (T5's scheme: Raffel et al. 2020).
    """
    behind = np.arange(longest)[:, None] - np.arange(longest)[None, :]
    half = buckets // 2
    exact = half // 2
    far = np.abs(behind).astype(np.float32)
    with np.errstate(divide="ignore"):
        grown = np.log(far / np.float32(exact)) / np.float32(math.log(LONGEST_DISTANCE / exact)) * (half - exact)
    large = np.minimum(exact + np.maximum(grown, 0).astype(np.int64), half - 1)
    bucket: NDArray[np.int64] = np.where(np.abs(behind) < exact, np.abs(behind), large) + np.where(behind < 0, half, 0)
    return bucket


ENCODERS: dict[str, Callable[[Weights, Shape, int], Weights]] = {"bert": bert, "mpnet": mpnet}
