"""Whether a server serves the artefact we hold: names, types, manifest hash, and an answer that we know.

That a server says it is ready proves nothing: it goes on saying so when its backend's process has died
(triton-inference-server/server#8604). So nothing counts but the answer to a real sentence, and what it must be is
computed in this process, once, from the same artefact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inference.artefact import Artefact
from inference.graph import INPUTS, MAX_ROWS, OUTPUTS, Batch, Outputs
from inference.onnx import OnnxClassifier
from inference.triton.versions import HASH_PARAMETER
from streams.errors import NotServed, Unavailable, WrongModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TOLERANCE", "Known", "Served", "agrees", "known_answer", "served"]

SENTENCE = "Acute hepatitis developed two weeks after she started ketoconazole."
TOLERANCE = 0.1  # of a logit: float16 should stay below it, other weights don't
TYPES = {name: ("INT64", rank) for name, rank in zip(INPUTS, (2, 2), strict=True)} | {
    name: ("FP32", rank) for name, rank in zip(OUTPUTS, (2, 3, 3, 3), strict=True)
}


class Known(NamedTuple):
    """A question, and what any runtime of the artefact answers to it."""

    question: Batch
    answer: Outputs


class Served(NamedTuple):
    """The version of the model that holds our artefact, and how many rows it takes in one request."""

    version: str
    rows: int


def known_answer(artefact: Artefact) -> Known:
    """Ask the artefact in this process. Raises WrongModel."""
    classifier = OnnxClassifier(artefact)
    try:
        question = classifier.batch(classifier.windows([SENTENCE]))
        (answer,) = classifier.run([question])
    finally:
        classifier.close()
    return Known(question, answer)


def agrees(answer: Outputs, known: Known) -> bool:
    """Whether an answer is the known one, up to what precisions may change. Padding is not compared."""
    pieces = int(known.question.mask.sum())
    pairs = zip(answer, known.answer, strict=True)
    return all(
        got.shape == want.shape and bool((abs(_real(got, pieces) - _real(want, pieces)) <= TOLERANCE).all())
        for got, want in pairs
    )


def _real(output: NDArray[np.float32], pieces: int) -> NDArray[np.float32]:
    """What an output says of the pieces that are no padding. NaN becomes infinite: it agrees with nothing."""
    kept = output if output.ndim == 2 else output[:, :pieces, :pieces]
    return np.where(np.isnan(kept), np.float32(np.inf), kept)


def served(metadata: Any, config: Any, artefact: Artefact, where: str) -> Served:
    """The version to ask, from the server's ModelMetadata and ModelConfig.

    Raises WrongModel if tensors differ, requests must be smaller than ours, or no version that is ready has our hash.
    """
    found = {t.name: (t.datatype, len(t.shape)) for t in (*metadata.inputs, *metadata.outputs)}
    if found != TYPES:
        differing = sorted(name for name in found.keys() | TYPES.keys() if found.get(name) != TYPES.get(name))
        raise WrongModel(
            f"{where}: model {metadata.name} has other tensors than {artefact.model}: {', '.join(differing)}"
        )
    if config.max_batch_size < MAX_ROWS:
        raise WrongModel(
            f"{where}: max_batch_size of {metadata.name} is {config.max_batch_size}; it must be {MAX_ROWS}"
        )
    ready = sorted(metadata.versions, key=int)
    if not ready:
        raise NotServed(f"{where}: no version of {metadata.name} is ready")
    return Served(_version(ready, config.parameters, artefact, where), config.max_batch_size)


def _version(ready: list[str], parameters: Any, artefact: Artefact, where: str) -> str:
    prefix = artefact.model.rpartition("@")[2]
    hashes = {v: parameters[HASH_PARAMETER + v].string_value for v in ready if HASH_PARAMETER + v in parameters}
    for version in reversed(ready):
        if hashes.get(version, "").startswith(prefix):
            return version
    shown = ", ".join(f"{version} is {hashes.get(version, 'unknown')[:12]}" for version in ready)
    raise WrongModel(f"{where}: no version is {artefact.model}: {shown}; `vigilia model push` brings it there")


def wrong_answer(where: str) -> Unavailable:
    """What a server is that answers the known question otherwise."""
    return Unavailable(f"{where}: the answer to a known sentence is wrong")
