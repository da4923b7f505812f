"""The encoder with its heads as an ONNX graph of standard operators (opset 17), built from its weights.

The graph is written out here, not traced: every node has a readable name, no exporter has to be pinned, and the way a
matrix is stored is one argument (`precision`):

- `fp32`: as trained.
- `fp16`: tables and matrices are float16 and products are taken in float16; sums over layers, normalisation, softmax
  and GELU stay float32. Half the size; for GPUs, whose tensor cores multiply so. The types are explicit in the graph,
  so no runtime has to be told to lower the precision.
- `int8`: int8 weights with a scale per output channel; activations are quantised to 8 bits with a scale per *row* (per
  piece of text), then multiplied as integers. The usual dynamic quantisation takes one scale over the whole batch,
  which makes a sentence's probability depend on its neighbours in the batch; with a scale per row it does not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from training.export.nodes import ZERO_POINT, Nodes, Precision, quantise_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

OPSET = 17
IR_VERSION = 9
MASKED = -10_000.0  # added to attention scores of padding; exp of it is exactly 0 in float32
LABELS = 3
PAIR_SCALE = 1 / 8  # of a drug piece's product with an effect piece: 1 / sqrt(64), their width


@dataclass(frozen=True)
class Shape:
    """What the graph must know of the encoder."""

    layers: int
    heads: int
    width: int
    epsilon: float = 1e-12


class _Builder:
    def __init__(self, weights: Mapping[str, Array], shape: Shape, precision: Precision) -> None:
        self.weights = weights
        self.shape = shape
        self.precision = precision
        self.graph = Nodes()
        self._inputs: dict[str, Any] = {}  # what a linear layer's input became: several layers may read one

    def linear(self, x: str, weight: Array, bias: Array, name: str, exact: bool = False) -> str:
        """x @ weight.T + bias in float32, stored and multiplied as `precision` says, or as float32 if `exact`."""
        g = self.graph
        matrix = weight.T
        if self.precision == "fp32" or exact:
            product = g.node("MatMul", [x, g.tensor(f"{name}.weight", matrix.astype(np.float32))], f"{name}.product")
        elif self.precision == "fp16":
            stored = g.tensor(f"{name}.weight", matrix.astype(np.float16))
            product = g.real(g.node("MatMul", [self.halved(x), stored], f"{name}.half"), f"{name}.product")
        else:
            product = self.whole_product(x, matrix, name)
        return g.node("Add", [product, g.tensor(f"{name}.bias", bias.astype(np.float32))], name)

    def halved(self, x: str) -> str:
        """`x` as float16, once."""
        if x not in self._inputs:
            self._inputs[x] = self.graph.half(x, f"{x}.input")
        return str(self._inputs[x])

    def whole_product(self, x: str, matrix: Array, name: str) -> str:
        """x @ matrix in integers, scaled back by row and by channel."""
        g = self.graph
        if x not in self._inputs:
            self._inputs[x] = g.quantised_rows(x)
        integers, row_scale = self._inputs[x]
        q, scale = quantise_channels(matrix)
        inputs = [integers, g.tensor(f"{name}.weight", q), g.constant(ZERO_POINT, "uint8")]
        real = g.real(g.node("MatMulInteger", inputs, f"{name}.integers"), f"{name}.real")
        by_row = g.node("Mul", [real, row_scale], f"{name}.by_row")
        return g.node("Mul", [by_row, g.tensor(f"{name}.scale", scale)], f"{name}.product")

    def product(self, a: str, b: str, name: str) -> str:
        """a @ b of two activations: float16 if `precision` is, else float32."""
        g = self.graph
        if self.precision == "fp16":
            return g.real(g.node("MatMul", [self.halved(a), self.halved(b)], f"{name}.half"), name)
        return g.node("MatMul", [a, b], name)

    def norm(self, x: str, source: str, name: str) -> str:
        g, w = self.graph, self.weights
        scale = g.tensor(f"{name}.gamma", w[f"{source}.weight"].astype(np.float32))
        shift = g.tensor(f"{name}.beta", w[f"{source}.bias"].astype(np.float32))
        return g.node("LayerNormalization", [x, scale, shift], name, axis=-1, epsilon=self.shape.epsilon)

    def words(self) -> str:
        g, table = self.graph, self.weights["words"].astype(np.float32)
        if self.precision == "fp32":
            return g.node("Gather", [g.tensor("words.table", table), "input_ids"], "words")
        if self.precision == "fp16":
            stored = g.tensor("words.table", table.astype(np.float16))
            return g.real(g.node("Gather", [stored, "input_ids"], "words.half"), "words")
        q, scale = quantise_channels(table.T)  # a scale per vocabulary entry
        rows = g.node("Gather", [g.tensor("words.table", q.T), "input_ids"], "words.integers")
        scales = g.node("Gather", [g.tensor("words.scale", scale[:, None]), "input_ids"], "words.scales")
        return g.node("Mul", [g.real(rows, "words.real"), scales], "words")

    def embeddings(self) -> str:
        """Words and places, normalised. Leaves `length`, the number of pieces, for the attention's places."""
        g = self.graph
        words = self.words()
        g.node("Shape", ["input_ids"], "length", start=1, end=2)
        zero = g.constant([0], "int64")
        table = g.tensor("places.table", self.weights["places"].astype(np.float32))
        here = g.node("Slice", [table, zero, "length", zero], "places")
        return self.norm(g.node("Add", [words, here], "embedded"), "embedded", "embeddings")

    def attention_bias(self) -> str:
        """What is added to the scores of attention: a large negative number for padding, and the pull of distance."""
        g = self.graph
        real = g.real("attention_mask", "mask.real")
        wide = g.node("Unsqueeze", [real, g.constant([1, 2], "int64")], "mask.wide")
        missing = g.node("Sub", [g.constant(1.0, "float32"), wide], "mask.missing")
        masked = g.node("Mul", [missing, g.constant(MASKED, "float32")], "mask.bias")
        if "distance" not in self.weights:
            return masked
        table = g.tensor("distance.table", self.weights["distance"].astype(np.float32)[None])
        ends = g.node("Concat", ["length", "length"], "distance.ends", axis=0)
        inputs = [table, g.constant([0, 0], "int64"), ends, g.constant([2, 3], "int64")]
        return g.node("Add", [masked, g.node("Slice", inputs, "distance")], "attention.bias")

    def attention(self, x: str, bias: str, name: str) -> str:
        g, w, shape = self.graph, self.weights, self.shape
        root = 1 / math.sqrt(math.sqrt(shape.width // shape.heads))  # half of the scaling on each side
        factors = {"query": root, "key": root, "value": 1.0}
        weight = np.concatenate([w[f"{name}.{part}.weight"] * f for part, f in factors.items()])
        offset = np.concatenate([w[f"{name}.{part}.bias"] * f for part, f in factors.items()])
        joint = self.linear(x, weight, offset, f"{name}.qkv")
        split = g.constant([0, 0, 3 * shape.heads, shape.width // shape.heads], "int64")
        cut = g.node("Reshape", [joint, split], f"{name}.cut")
        flipped = g.node("Transpose", [cut], f"{name}.flipped", perm=[0, 2, 1, 3])
        parts = [f"{name}.q", f"{name}.k", f"{name}.v"]
        g.split(flipped, parts, None, f"{name}.split", axis=1)
        turned = g.node("Transpose", [parts[1]], f"{name}.kt", perm=[0, 1, 3, 2])
        scores = g.node("Add", [self.product(parts[0], turned, f"{name}.scores"), bias], f"{name}.masked")
        shares = g.node("Softmax", [scores], f"{name}.attention", axis=-1)
        context = self.product(shares, parts[2], f"{name}.mixed")
        back = g.node("Transpose", [context], f"{name}.back", perm=[0, 2, 1, 3])
        return g.node("Reshape", [back, g.constant([0, 0, shape.width], "int64")], f"{name}.merged")

    def layer(self, x: str, bias: str, index: int) -> str:
        g, name = self.graph, f"layer{index}"
        attended = self.stored(self.attention(x, bias, name), f"{name}.attended")
        y = self.norm(g.node("Add", [attended, x], f"{name}.sum1"), f"{name}.norm1", f"{name}.norm1")
        outer = self.stored(self.gelu(self.stored(y, f"{name}.inner")), f"{name}.outer")
        return self.norm(g.node("Add", [outer, y], f"{name}.sum2"), f"{name}.norm2", f"{name}.norm2")

    def stored(self, x: str, name: str) -> str:
        """The linear layer of that name."""
        return self.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], name)

    def gelu(self, x: str) -> str:
        g = self.graph
        erf = g.node("Erf", [g.node("Div", [x, g.constant(math.sqrt(2), "float32")], f"{x}.root")], f"{x}.erf")
        raised = g.node("Add", [erf, g.constant(1.0, "float32")], f"{x}.raised")
        return g.node("Mul", [g.node("Mul", [x, raised], f"{x}.twice"), g.constant(0.5, "float32")], f"{x}.gelu")

    def heads(self, x: str) -> None:
        """All heads in one product over the pieces.

        The sentence head is linear, so its part on the mean is the mean of its part on each piece. Written this way no
        sum runs across the batch's rows: a result has the same bits whatever else is in the batch.
        """
        g, w = self.graph, self.weights
        on_first, on_mean = np.split(w["sentence.weight"], [self.shape.width], axis=1)
        weight = np.concatenate([w["drug.weight"], w["effect.weight"], on_first, on_mean])
        offset = np.concatenate([w["drug.bias"], w["effect.bias"], w["sentence.bias"], np.zeros(1, np.float32)])
        scores = self.linear(x, weight, offset, "scores", exact=True)
        parts = ["drug", "effect", "scores.first", "scores.mean"]
        g.split(scores, parts, [LABELS, LABELS, 1, 1], "scores.split", axis=-1)
        row = g.node("Unsqueeze", ["mask.real", g.constant([1], "int64")], "mask.row")
        total = g.node(
            "Squeeze", [g.node("MatMul", [row, parts[3]], "mean.total"), g.constant([2], "int64")], "mean.flat"
        )
        count = g.node("ReduceSum", ["mask.real", g.constant([1], "int64")], "count", keepdims=1)
        first = g.node("Gather", [parts[2], g.constant(0, "int64")], "first", axis=1)
        g.node("Add", [first, g.node("Div", [total, count], "mean")], "sentence")

    def pairs(self, x: str) -> None:
        """A score for each piece as (part of) a drug with each piece as an effect: one product a sentence."""
        g, w = self.graph, self.weights
        weight = np.concatenate([w["pair_drug.weight"] * PAIR_SCALE, w["pair_effect.weight"]])
        offset = np.concatenate([w["pair_drug.bias"] * PAIR_SCALE, w["pair_effect.bias"]])
        sides = ["pair.drug", "pair.effect"]
        joint = self.linear(x, weight, offset, "pair.sides")
        g.split(joint, sides, [len(w["pair_drug.bias"]), len(w["pair_effect.bias"])], "pair.split", axis=-1)
        turned = g.node("Transpose", [sides[1]], "pair.effect.turned", perm=[0, 2, 1])
        scores = g.node("MatMul", [sides[0], turned], "pair.scores")
        g.node("Add", [scores, g.tensor("pair.bias", w["pair_bias"].astype(np.float32))], "pair")

    def name(self) -> str:
        """A name that other weights don't share.

        Where TensorRT's engines are cached, onnxruntime tells them apart by names, not by weights
        (microsoft/onnxruntime#6455): the new version of a model would get the engine of the old one.
        """
        digest = hashlib.sha256()
        for tensor in self.graph.initializers:
            digest.update(tensor.raw_data)
        return f"adverse_event_{digest.hexdigest()[:12]}"

    def build(self) -> onnx.ModelProto:
        x, bias = self.embeddings(), self.attention_bias()
        for index in range(self.shape.layers):
            x = self.layer(x, bias, index)
        self.heads(x)
        self.pairs(x)
        ids = [
            helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "pieces"])
            for n in ("input_ids", "attention_mask")
        ]
        outputs = [helper.make_tensor_value_info("sentence", TensorProto.FLOAT, ["batch", 1])]
        outputs += [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", "pieces", last])
            for n, last in (("drug", LABELS), ("effect", LABELS), ("pair", "pieces"))
        ]
        graph = helper.make_graph(self.graph.nodes, self.name(), ids, outputs, self.graph.initializers)
        imports = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="vigilia")
        onnx.checker.check_model(model)
        return model


def build(weights: Mapping[str, Array], shape: Shape, precision: Precision = "fp32") -> onnx.ModelProto:
    """The graph of a trained model: input_ids, attention_mask (INT64) to sentence, drug, effect, pair (FP32).

    `weights` are named as `training.export.weights` names them. The outputs are those of
    `training.model.AdverseEventModel`. Of `pair`, rows and columns of padding mean nothing.
    """
    return _Builder(weights, shape, precision).build()
