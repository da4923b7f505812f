"""The classifier in this process: tokenizers and onnxruntime, nothing of torch.

It gives the same bits on any number of threads of one machine, and in any batch (`inference.graph`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
        # Threads of their own, whoever asks: one that has ended a run finds the next in its queue, and need not wait
        # until the interpreter has turned to another caller.
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")

    def run(self, batches: Sequence[Batch]) -> Iterator[Outputs]:
        """See `GraphClassifier`. A call has one run more than there are threads in the model's queue, not all of its
        runs, so that those of other calls take turns with them: few sentences need not wait for many."""
        ahead: deque[Future[Outputs]] = deque()
        try:
            for batch in batches:
                ahead.append(self._submit(batch))
                if len(ahead) > self._threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for run in ahead:
                run.cancel()

    def _submit(self, batch: Batch) -> Future[Outputs]:
        try:
            return self._pool.submit(self._run, batch)
        except RuntimeError as error:  # the pool takes nothing more
            raise Unavailable("the classifier is closed") from error

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
        self._pool.shutdown(wait=False)
