"""The weights of a shipped int8 graph as numbers again, so that other precisions can be built of them.

What quantising took away stays away: the result is the model that the int8 graph approximates activations of, not the
one that was trained. It is good for a GPU, which can't run the int8 graph, where no run of training is at hand.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from training.export.graph import LABELS, PAIR_SCALE, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[Any]]

__all__ = ["weights_of"]


def weights_of(path: Path) -> tuple[Weights, Shape]:
    """Weights as `training.export.weights` names them, from a graph that `training.export.graph.build` made as int8."""
    model = onnx.load(path)
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shape = _shape(model, found)
    weights = {
        "words": found["words.table"].astype(np.float32) * found["words.scale"],
        "places": found["places.table"],
        "pair_bias": found["pair.bias"],
    }
    if "distance.table" in found:
        weights["distance"] = found["distance.table"][0]
    norms = {"embedded": "embeddings"}
    for index in range(shape.layers):
        name = f"layer{index}"
        norms |= {f"{name}.norm{k}": f"{name}.norm{k}" for k in (1, 2)}
        weights |= _linear(found, f"{name}.qkv", {f"{name}.{part}": shape.width for part in ("query", "key", "value")})
        for part in ("attended", "inner", "outer"):
            weights |= _linear(found, f"{name}.{part}", {f"{name}.{part}": len(found[f"{name}.{part}.bias"])})
        root = 1 / math.sqrt(math.sqrt(shape.width // shape.heads))  # the graph holds these two scaled
        for part in ("query", "key"):
            for kind in ("weight", "bias"):
                weights[f"{name}.{part}.{kind}"] = weights[f"{name}.{part}.{kind}"] / np.float32(root)
    for source, name in norms.items():
        weights |= {f"{source}.weight": found[f"{name}.gamma"], f"{source}.bias": found[f"{name}.beta"]}
    return weights | _heads(found), shape


def _shape(model: onnx.ModelProto, found: Weights) -> Shape:
    cut = next(node for node in model.graph.node if node.name == "layer0.cut")
    heads, size = (int(part) for part in found[cut.input[1]][2:])
    norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization")
    (epsilon,) = (attribute.f for attribute in norm.attribute if attribute.name == "epsilon")
    layers = sum(node.name.endswith(".qkv") for node in model.graph.node)
    return Shape(layers, heads // 3, heads // 3 * size, epsilon)


def _linear(found: Weights, name: str, parts: dict[str, int]) -> Weights:
    """Weight and bias of the layers of these widths that the graph computes as one."""
    matrix = (found[f"{name}.weight"].astype(np.float32) * found[f"{name}.scale"]).T
    ends = np.cumsum(list(parts.values()))[:-1]
    pieces = zip(parts, np.split(matrix, ends), np.split(found[f"{name}.bias"], ends), strict=True)
    return {
        f"{part}.{kind}": value for part, *both in pieces for kind, value in zip(("weight", "bias"), both, strict=True)
    }


def _heads(found: Weights) -> Weights:
    """The heads of labels and sentence are exact in every precision; that of pairs is stored like a layer."""
    ends = [LABELS, 2 * LABELS, 2 * LABELS + 1]
    drug, effect, on_first, on_mean = np.split(found["scores.weight"].T, ends)
    drug_bias, effect_bias, sentence_bias, _ = np.split(found["scores.bias"], ends)
    width = len(found["pair.sides.bias"]) // 2
    sides = _linear(found, "pair.sides", {"pair_drug": width, "pair_effect": width})
    return {
        "drug.weight": drug,
        "drug.bias": drug_bias,
        "effect.weight": effect,
        "effect.bias": effect_bias,
        "sentence.weight": np.concatenate([on_first, on_mean], axis=1),
        "sentence.bias": sentence_bias,
        **sides,
        "pair_drug.weight": sides["pair_drug.weight"] / np.float32(PAIR_SCALE),
        "pair_drug.bias": sides["pair_drug.bias"] / np.float32(PAIR_SCALE),
    }
