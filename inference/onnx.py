"""The classifier in this process: tokenizers and onnxruntime, nothing of torch.

It gives the same bits on any number of threads of one machine, and in any batch (`inference.graph`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import onnxruntime as ort

from inference.artefact import Artefact
from inference.graph import INPUTS, OUTPUTS, Batch, GraphClassifier, Outputs
from streams.errors import PoisonInput, Unavailable, WrongModel

_ERRORS_ONLY = 3


class OnnxClassifier(GraphClassifier):
    """A `Classifier` on onnxruntime's CPU provider.

    `threads` runs of the model go side by side, each on one core: two cores do 1.4 times as much so as when they share
    each operation (docs/decisions/batching.md). `tokens` bounds the padded pieces of one run, and with it the memory.
    """

    def __init__(self, artefact: Artefact, threads: int = 1, tokens: int = 512) -> None:
        super().__init__(artefact, tokens)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = ort.InferenceSession(artefact.onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WrongModel(f"{artefact.onnx}: onnxruntime can't load it: {error}") from error
        self._running = threading.Lock()  # more runs at a time than threads would share the same cores
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model") if threads > 1 else None

    def run(self, batches: Sequence[Batch]) -> Iterator[Outputs]:
        """See `GraphClassifier`."""
        if self._session is None:
            raise Unavailable("the classifier is closed")
        if self._pool is not None:
            yield from self._pool.map(self._run, batches)
            return
        for batch in batches:  # in the caller's thread: handing over to another costs 5% of the throughput
            with self._running:
                outputs = self._run(batch)
            yield outputs

    def _run(self, batch: Batch) -> Outputs:
        session = self._session
        if session is None:
            raise Unavailable("the classifier is closed")
        try:
            return Outputs(*session.run(list(OUTPUTS), dict(zip(INPUTS, (batch.ids, batch.mask), strict=True))))
        except Exception as error:
            raise PoisonInput(f"onnxruntime failed: {type(error).__name__}") from error

    def close(self) -> None:
        """Free the session. Later calls raise Unavailable."""
        self._session = None
        if self._pool is not None:
            self._pool.shutdown(wait=False)
