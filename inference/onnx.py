"""The classifier in this process: tokenizers and onnxruntime, nothing of torch.

It gives the same bits on any number of threads of one machine, and in any batch (`inference.graph`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import onnxruntime as ort

from inference.artefact import Artefact
from inference.graph import INPUTS, OUTPUTS, Batch, GraphClassifier, Outputs
from streams.errors import PoisonInput, Unavailable, WrongModel

_ERRORS_ONLY = 3


class OnnxClassifier(GraphClassifier):
    """A `Classifier` on onnxruntime's CPU provider. The model runs for one thread at a time.

    `threads` work within one operation; `tokens` bounds the padded pieces of one run, and with it the memory.
    """

    def __init__(self, artefact: Artefact, threads: int = 1, tokens: int = 2048) -> None:
        super().__init__(artefact, tokens)
        self._running = threading.Lock()  # two runs side by side would share the same cores
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the CPU to Kafka
        try:
            self._session: Any = ort.InferenceSession(artefact.onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WrongModel(f"{artefact.onnx}: onnxruntime can't load it: {error}") from error

    def run(self, batches: Sequence[Batch]) -> Iterator[Outputs]:
        """See `GraphClassifier`. One after the other."""
        if self._session is None:
            raise Unavailable("the classifier is closed")
        for batch in batches:
            try:
                with self._running:
                    outputs = self._session.run(list(OUTPUTS), dict(zip(INPUTS, (batch.ids, batch.mask), strict=True)))
            except Exception as error:
                raise PoisonInput(f"onnxruntime failed: {type(error).__name__}") from error
            yield Outputs(*outputs)

    def close(self) -> None:
        """Free the session. Later calls raise Unavailable."""
        self._session = None
