"""Collecting the nodes of an ONNX graph, and the ways a matrix is stored in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

Precision = Literal["fp32", "fp16", "int8"]

ZERO_POINT = 128  # activations are stored as uint8 around it: the kernels are fast for uint8 x int8
ACTIVATION_STEPS = 127
WEIGHT_STEPS = (
    64  # 255 * 64 * 2 < 2^15: AVX2's 16-bit intermediate sums can't saturate, so every CPU multiplies exactly
)


def quantise_channels(weight: Array, steps: int = WEIGHT_STEPS) -> tuple[Array, Array]:
    """(int8 weights, float scale per output channel) of a [in, out] matrix: symmetric, largest magnitude / `steps`."""
    scale = np.maximum(np.abs(weight).max(axis=0) / steps, 1e-12).astype(np.float32)
    return np.clip(np.rint(weight / scale), -steps, steps).astype(np.int8), scale


class Nodes:
    """Collects nodes and initializers; each method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[Any, ...], str] = {}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node with one output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def split(self, x: str, parts: list[str], sizes: list[int] | None, name: str, axis: int) -> None:
        """`x` cut into `parts`: of these sizes, or equal ones."""
        inputs = [x] if sizes is None else [x, self.constant(sizes, "int64")]
        self.nodes.append(helper.make_node("Split", inputs, parts, name=name, axis=axis))

    def tensor(self, name: str, value: Array) -> str:
        """An initializer."""
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def constant(self, value: Any, kind: str) -> str:
        """An initializer that equal constants share."""
        key = (kind, *np.ravel(value).tolist(), np.ndim(value))
        if key not in self._constants:
            self._constants[key] = self.tensor(f"constant_{len(self._constants)}", np.array(value, dtype=kind))
        return self._constants[key]

    def real(self, x: str, name: str) -> str:
        """`x` as float32."""
        return self.node("Cast", [x], name, to=TensorProto.FLOAT)

    def half(self, x: str, name: str) -> str:
        """`x` as float16."""
        return self.node("Cast", [x], name, to=TensorProto.FLOAT16)

    def quantised_rows(self, x: str) -> tuple[str, str]:
        """(uint8 tensor, scale of each row) of a float tensor; the scale is largest magnitude / ACTIVATION_STEPS."""
        top = self.node("ReduceMax", [x], f"{x}.top", axes=[-1], keepdims=1)
        bottom = self.node("Neg", [self.node("ReduceMin", [x], f"{x}.bottom", axes=[-1], keepdims=1)], f"{x}.depth")
        largest = self.node("Max", [top, bottom, self.constant(1e-9, "float32")], f"{x}.largest")
        scale = self.node("Mul", [largest, self.constant(1 / ACTIVATION_STEPS, "float32")], f"{x}.scale")
        scaled = self.node("Mul", [x, self.node("Reciprocal", [scale], f"{x}.steps")], f"{x}.scaled")
        whole, zero = self.constant(1.0, "float32"), self.constant(ZERO_POINT, "uint8")
        return self.node("QuantizeLinear", [scaled, whole, zero], f"{x}.whole"), scale
