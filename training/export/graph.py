"""A BERT encoder with its heads as an ONNX graph of standard operators (opset 17), built from its weights.

The graph is written out here, not traced: every node has a readable name, no exporter has to be pinned, and the way a
linear layer is stored is one argument (`quantise`):

- `None`: float32.
- `rows`: int8 weights with a scale per output channel; activations are quantised to 8 bits with a scale per *row* (per
  piece of text), then multiplied as integers. The usual dynamic quantisation takes one scale over the whole batch,
  which makes a sentence's probability depend on its neighbours in the batch; with a scale per row it does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

OPSET = 17
IR_VERSION = 9
MASKED = -10_000.0  # added to attention scores of padding; exp of it is exactly 0 in float32
ZERO_POINT = 128  # activations are stored as uint8 around it: the kernels are fast for uint8 x int8
ACTIVATION_STEPS = 127
WEIGHT_STEPS = (
    64  # 255 * 64 * 2 < 2^15: AVX2's 16-bit intermediate sums can't saturate, so every CPU multiplies exactly
)
LABELS = 3
PAIR_SCALE = 1 / 8  # of a drug piece's product with an effect piece: 1 / sqrt(64), their width
Quantise = Literal["rows"] | None


@dataclass(frozen=True)
class Shape:
    """What the graph must know of the encoder."""

    layers: int
    heads: int
    width: int
    epsilon: float = 1e-12


class _Graph:
    """Collects nodes and initializers; each method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[Any, ...], str] = {}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def tensor(self, name: str, value: Array) -> str:
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def constant(self, value: Any, kind: str) -> str:
        key = (kind, *np.ravel(value).tolist(), np.ndim(value))
        if key not in self._constants:
            self._constants[key] = self.tensor(f"constant_{len(self._constants)}", np.array(value, dtype=kind))
        return self._constants[key]

    def quantised_rows(self, x: str) -> tuple[str, str]:
        """(int8 tensor, scale of each row) of a float tensor; the scale is largest magnitude / `steps`."""
        top = self.node("ReduceMax", [x], f"{x}.top", axes=[-1], keepdims=1)
        bottom = self.node("Neg", [self.node("ReduceMin", [x], f"{x}.bottom", axes=[-1], keepdims=1)], f"{x}.depth")
        largest = self.node("Max", [top, bottom, self.constant(1e-9, "float32")], f"{x}.largest")
        scale = self.node("Mul", [largest, self.constant(1 / ACTIVATION_STEPS, "float32")], f"{x}.scale")
        scaled = self.node("Mul", [x, self.node("Reciprocal", [scale], f"{x}.steps")], f"{x}.scaled")
        whole, zero = self.constant(1.0, "float32"), self.constant(ZERO_POINT, "uint8")
        return self.node("QuantizeLinear", [scaled, whole, zero], f"{x}.whole"), scale


def quantise_channels(weight: Array, steps: int = WEIGHT_STEPS) -> tuple[Array, Array]:
    """(int8 weights, float scale per output channel) of a [in, out] matrix: symmetric, largest magnitude / `steps`."""
    scale = np.maximum(np.abs(weight).max(axis=0) / steps, 1e-12).astype(np.float32)
    return np.clip(np.rint(weight / scale), -steps, steps).astype(np.int8), scale


class _Builder:
    def __init__(self, weights: Mapping[str, Array], shape: Shape, quantise: Quantise) -> None:
        self.weights = weights
        self.shape = shape
        self.quantise = quantise
        self.graph = _Graph()
        self._rows: dict[str, tuple[str, str]] = {}

    def linear(self, x: str, weight: Array, bias: Array, name: str, exact: bool = False) -> str:
        """x @ weight.T + bias, stored as `quantise` says, or as float32 if `exact`."""
        g = self.graph
        matrix = weight.T
        if self.quantise is None or exact:
            product = g.node("MatMul", [x, g.tensor(f"{name}.weight", matrix.astype(np.float32))], f"{name}.product")
        else:
            if x not in self._rows:
                self._rows[x] = g.quantised_rows(x)
            integers, row_scale = self._rows[x]
            q, scale = quantise_channels(matrix)
            whole = g.node(
                "MatMulInteger",
                [integers, g.tensor(f"{name}.weight", q), g.constant(ZERO_POINT, "uint8")],
                f"{name}.integers",
            )
            real = g.node("Cast", [whole], f"{name}.real", to=TensorProto.FLOAT)
            by_row = g.node("Mul", [real, row_scale], f"{name}.by_row")
            product = g.node("Mul", [by_row, g.tensor(f"{name}.scale", scale)], f"{name}.product")
        return g.node("Add", [product, g.tensor(f"{name}.bias", bias.astype(np.float32))], name)

    def norm(self, x: str, source: str, name: str) -> str:
        g, w = self.graph, self.weights
        scale = g.tensor(f"{name}.gamma", w[f"{source}.weight"].astype(np.float32))
        shift = g.tensor(f"{name}.beta", w[f"{source}.bias"].astype(np.float32))
        return g.node("LayerNormalization", [x, scale, shift], name, axis=-1, epsilon=self.shape.epsilon)

    def embeddings(self) -> str:
        g, w = self.graph, self.weights
        table = w["encoder.embeddings.word_embeddings.weight"].astype(np.float32)
        places = (
            w["encoder.embeddings.position_embeddings.weight"] + w["encoder.embeddings.token_type_embeddings.weight"][0]
        )
        if self.quantise is None:
            words = g.node("Gather", [g.tensor("words.table", table), "input_ids"], "words")
        else:
            q, scale = quantise_channels(table.T)  # a scale per vocabulary entry
            rows = g.node("Gather", [g.tensor("words.table", q.T), "input_ids"], "words.integers")
            scales = g.node("Gather", [g.tensor("words.scale", scale[:, None]), "input_ids"], "words.scales")
            words = g.node("Mul", [g.node("Cast", [rows], "words.real", to=TensorProto.FLOAT), scales], "words")
        length = g.node("Shape", ["input_ids"], "length", start=1, end=2)
        zero, axis = g.constant([0], "int64"), g.constant([0], "int64")
        here = g.node("Slice", [g.tensor("places.table", places.astype(np.float32)), zero, length, axis], "places")
        return self.norm(g.node("Add", [words, here], "embedded"), "encoder.embeddings.LayerNorm", "embeddings")

    def attention_bias(self) -> str:
        g = self.graph
        real = g.node("Cast", ["attention_mask"], "mask.real", to=TensorProto.FLOAT)
        wide = g.node("Unsqueeze", [real, g.constant([1, 2], "int64")], "mask.wide")
        missing = g.node("Sub", [g.constant(1.0, "float32"), wide], "mask.missing")
        return g.node("Mul", [missing, g.constant(MASKED, "float32")], "mask.bias")

    def layer(self, x: str, bias: str, index: int) -> str:
        g, w, shape = self.graph, self.weights, self.shape
        source, name = f"encoder.encoder.layer.{index}", f"layer{index}"
        own = f"{source}.attention.self"
        root = 1 / math.sqrt(math.sqrt(shape.width // shape.heads))  # half of the scaling on each side
        factors = {"query": root, "key": root, "value": 1.0}
        weight = np.concatenate([w[f"{own}.{part}.weight"] * f for part, f in factors.items()])
        offset = np.concatenate([w[f"{own}.{part}.bias"] * f for part, f in factors.items()])
        joint = self.linear(x, weight, offset, f"{name}.qkv")
        split = g.constant([0, 0, 3 * shape.heads, shape.width // shape.heads], "int64")
        cut = g.node("Reshape", [joint, split], f"{name}.cut")
        flipped = g.node("Transpose", [cut], f"{name}.flipped", perm=[0, 2, 1, 3])
        parts = [f"{name}.q", f"{name}.k", f"{name}.v"]
        g.nodes.append(helper.make_node("Split", [flipped], parts, name=f"{name}.split", axis=1))
        turned = g.node("Transpose", [parts[1]], f"{name}.kt", perm=[0, 1, 3, 2])
        scores = g.node("Add", [g.node("MatMul", [parts[0], turned], f"{name}.scores"), bias], f"{name}.masked")
        context = g.node(
            "MatMul", [g.node("Softmax", [scores], f"{name}.attention", axis=-1), parts[2]], f"{name}.mixed"
        )
        back = g.node("Transpose", [context], f"{name}.back", perm=[0, 2, 1, 3])
        merged = g.node("Reshape", [back, g.constant([0, 0, shape.width], "int64")], f"{name}.merged")
        out = f"{source}.attention.output"
        attended = self.linear(merged, w[f"{out}.dense.weight"], w[f"{out}.dense.bias"], f"{name}.attended")
        y = self.norm(g.node("Add", [attended, x], f"{name}.sum1"), f"{out}.LayerNorm", f"{name}.norm1")
        inner = self.linear(
            y, w[f"{source}.intermediate.dense.weight"], w[f"{source}.intermediate.dense.bias"], f"{name}.inner"
        )
        outer = self.linear(
            self.gelu(inner), w[f"{source}.output.dense.weight"], w[f"{source}.output.dense.bias"], f"{name}.outer"
        )
        return self.norm(g.node("Add", [outer, y], f"{name}.sum2"), f"{source}.output.LayerNorm", f"{name}.norm2")

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
        g, w, width = self.graph, self.weights, self.shape.width
        on_first, on_mean = np.split(w["sentence.weight"], [width], axis=1)
        weight = np.concatenate([w["drug.weight"], w["effect.weight"], on_first, on_mean])
        offset = np.concatenate([w["drug.bias"], w["effect.bias"], w["sentence.bias"], np.zeros(1, np.float32)])
        scores = self.linear(x, weight, offset, "scores", exact=True)
        parts = ["drug", "effect", "scores.first", "scores.mean"]
        sizes = g.constant([LABELS, LABELS, 1, 1], "int64")
        g.nodes.append(helper.make_node("Split", [scores, sizes], parts, name="scores.split", axis=-1))
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
        sizes = g.constant([len(w[f"{side.replace('.', '_')}.bias"]) for side in sides], "int64")
        g.nodes.append(helper.make_node("Split", [joint, sizes], sides, name="pair.split", axis=-1))
        turned = g.node("Transpose", [sides[1]], "pair.effect.turned", perm=[0, 2, 1])
        scores = g.node("MatMul", [sides[0], turned], "pair.scores")
        g.node("Add", [scores, g.tensor("pair.bias", w["pair_bias"].astype(np.float32))], "pair")

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
        graph = helper.make_graph(self.graph.nodes, "adverse_event", ids, outputs, self.graph.initializers)
        imports = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="vigilia")
        onnx.checker.check_model(model)
        return model


def build(weights: Mapping[str, Array], shape: Shape, quantise: Quantise = None) -> onnx.ModelProto:
    """The graph of a trained model: input_ids, attention_mask (INT64) to sentence, drug, effect, pair (FP32).

    The outputs are those of `training.model.AdverseEventModel`. Of `pair`, rows and columns of padding mean nothing.
    """
    return _Builder(weights, shape, quantise).build()
