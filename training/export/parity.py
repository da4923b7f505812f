"""Whether the exported graph says what torch said: checked at every export, which fails if it does not.

Tolerances are on logits. A logit that moves by 0.01 moves a probability by 0.0025 at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from inference.artefact import Artefact
from inference.graph import OUTPUTS
from training.export.nodes import Precision
from training.export.weights import Trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = list[NDArray[np.float32]]

SAMPLE = 64  # sentences


class Difference(msgspec.Struct, frozen=True):
    """Of one output, over all real pieces of all sentences: the largest and the mean difference of logits."""

    largest: float
    mean: float


class Parity(msgspec.Struct, frozen=True):
    """The graph beside torch on the same pieces. `same_labels`: share of pieces with the same best label in both."""

    sentences: int
    same_labels: float
    outputs: dict[str, Difference]


class Tolerance(msgspec.Struct, frozen=True):
    """What a precision may differ by: `largest` and `mean` hold for every output."""

    largest: float
    mean: float
    same_labels: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(largest=0.001, mean=0.0001, same_labels=0.999),
    "fp16": Tolerance(largest=0.05, mean=0.005, same_labels=0.995),
    "int8": Tolerance(largest=2.0, mean=0.25, same_labels=0.98),
}


class ParityError(ValueError):
    """An exported graph differs from the model it was made of by more than its precision may."""


def samples(texts: Sequence[str], size: int = SAMPLE) -> list[str]:
    """Shortest, longest and evenly between: a fixed choice of sentences of every length.

    >>> samples(["ccc", "a", "bb", "eeeee", "dddd"], 3)
    ['a', 'ccc', 'eeeee']
    """
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    if len(ordered) <= size:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (size - 1))] for i in range(size)]


def measure(trained: Trained, artefact: Artefact, texts: Sequence[str]) -> Parity:
    """Run torch's model in float32 and the graph on these sentences, each as the classifier would pad it."""
    tokenizer = Tokenizer.from_file(str(artefact.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(artefact.manifest.max_length)
    session: Any = ort.InferenceSession(artefact.onnx, providers=["CPUExecutionProvider"])
    expected = _torch_scores(trained)
    gaps: dict[str, list[NDArray[np.float32]]] = {name: [] for name in OUTPUTS}
    same: list[NDArray[np.bool_]] = []
    for encoding in tokenizer.encode_batch(list(texts)):
        pieces = len(encoding.ids)
        length = -(-pieces // artefact.manifest.length_step) * artefact.manifest.length_step
        ids = np.array([encoding.ids + [0] * (length - pieces)], dtype=np.int64)
        mask = (np.arange(length) < pieces).astype(np.int64)[None]
        found = _real(session.run(OUTPUTS, {"input_ids": ids, "attention_mask": mask}), pieces)
        wanted = _real(expected(ids, mask), pieces)
        for name, got, want in zip(OUTPUTS, found, wanted, strict=True):
            gaps[name].append(np.abs(got - want).ravel())
        same += [got.argmax(-1) == want.argmax(-1) for got, want in zip(found[1:3], wanted[1:3], strict=True)]
    differences = {name: Difference(float(g.max()), float(g.mean())) for name, g in _joined(gaps).items()}
    return Parity(len(texts), float(np.concatenate([s.ravel() for s in same]).mean()), differences)


def check(parity: Parity, precision: Precision) -> None:
    """Raise ParityError, naming every output that differs too much, unless the graph is within its tolerance."""
    allowed = TOLERANCES[precision]
    wrong = [
        f"{name}: logits differ by up to {d.largest:.4g}, {d.mean:.4g} on average"
        f" (allowed {allowed.largest:g}, {allowed.mean:g})"
        for name, d in parity.outputs.items()
        if not (d.largest <= allowed.largest and d.mean <= allowed.mean)  # so that NaN fails
    ]
    if not parity.same_labels >= allowed.same_labels:
        wrong.append(f"{parity.same_labels:.4f} of labels agree (wanted {allowed.same_labels})")
    if wrong:
        raise ParityError(f"the {precision} graph is not the model that was trained: {'; '.join(wrong)}")


def _torch_scores(trained: Trained) -> Any:
    """(ids, mask) -> outputs of the torch model."""
    import torch

    from training.model import load

    model = load(trained.folder).eval()

    def scores(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Scores:
        with torch.inference_mode():
            return [output.float().numpy() for output in model(torch.from_numpy(ids), torch.from_numpy(mask))]

    return scores


def _real(outputs: Sequence[NDArray[np.float32]], pieces: int) -> Scores:
    """The outputs without what belongs to padding."""
    sentence, drug, effect, pair = outputs
    return [sentence[0], drug[0, :pieces], effect[0, :pieces], pair[0, :pieces, :pieces]]


def _joined(parts: dict[str, list[NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
    return {name: np.concatenate(rows) for name, rows in parts.items()}
