"""What a classifier is to the rest of vigilia: sentences in, readings out.

Implementations: `inference.onnx.OnnxClassifier` (onnxruntime in this process) and `inference.triton.TritonClassifier`
(servers). Tests and users may bring their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from inference.conformal import Conformity


class TextSpan(NamedTuple):
    """Characters `[start, end)` of the sentence, and those characters."""

    start: int
    end: int
    text: str


class Pair(NamedTuple):
    """A drug blamed for an effect: indices into the reading's `drugs` and `effects`, and a calibrated probability."""

    drug: int
    effect: int
    probability: float


class Reading(NamedTuple):
    """What the model reads in one sentence.

    `probability`: calibrated probability that the sentence asserts an adverse drug event. Spans are what would be the
    drugs and effects of such an event; they are given whatever the probability, so a caller decides by it.
    `pairs` holds every drug with every effect. `conformity` says what an error rate leaves open; None where the
    artefact has no calibration for that.
    """

    probability: float
    drugs: tuple[TextSpan, ...] = ()
    effects: tuple[TextSpan, ...] = ()
    pairs: tuple[Pair, ...] = ()
    conformity: Conformity | None = None


@runtime_checkable
class Classifier(Protocol):
    """Reads sentences. The reading of a sentence depends on that sentence alone, to the last bit.

    `classify` may be called from several threads at a time.
    """

    @property
    def model(self) -> str:
        """Short name and SHA-256 prefix of the artefact, `name@0123456789ab`: stored with every assessment."""

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        """One reading a sentence, in order.

        Raises a ClassifierError; PoisonInput if these sentences fail whenever they are sent.
        """

    def close(self) -> None:
        """Release threads, memory and connections. The classifier can't be used afterwards."""


@runtime_checkable
class Remote(Classifier, Protocol):
    """A classifier that others run: it may be away, and how many batches it takes at a time has to be found out."""

    def servers(self) -> dict[str, dict[str, object]]:
        """How each server is, by its address, for the log."""
