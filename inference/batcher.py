"""Requests of many messages become batches of one size: asynchronous outside, threads inside.

There is no linger timer. While batches run in the threads, the next one forms in the queue; an idle classifier starts
at once. What decides a batch's size is a budget of padded pieces, not a number of requests. There are two lanes: while
the model runs on one batch, the next is tokenised and the last one's spans are read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from inference.classifier import Classifier, Reading
from streams.errors import ClassifierError, Unavailable

CHARACTERS_A_PIECE = 4  # ADE-Corpus: 4.4 on average; a short estimate would let a batch outgrow its budget
LENGTH_STEP = 8
MAX_PIECES = 128


def estimated_pieces(sentence: str) -> int:
    """Pieces a sentence takes with its padding, estimated from its characters: counting them is the thread's work.

    >>> estimated_pieces("No adverse events."), estimated_pieces("x" * 10_000)
    (8, 2504)
    """
    pieces = 2 + len(sentence) // CHARACTERS_A_PIECE
    return -(-pieces // LENGTH_STEP) * LENGTH_STEP


@dataclass(eq=False)
class _Request:
    sentences: Sequence[str]
    pieces: int
    answer: asyncio.Future[list[Reading]]


class MicroBatcher:
    """`await classify(sentences)` from any number of tasks; use as `async with MicroBatcher(classifier) as batcher`.

    `pieces` is the budget of a batch, `waiting` the most sentences in the queue: beyond it `classify` waits, which is
    the backpressure that pauses intake. A request larger than either is taken alone, so none can block the queue.

    The classifier stays the caller's: `close` does not close it.
    """

    def __init__(self, classifier: Classifier, pieces: int = 2048, waiting: int = 2048, lanes: int = 2) -> None:
        self.classifier = classifier
        self.batches = 0
        self.sentences = 0
        self._pieces = pieces
        self._limit = waiting
        self._queue: deque[_Request] = deque()
        self._queued = 0
        self._changed = asyncio.Condition()
        self._lanes = lanes
        self._threads = ThreadPoolExecutor(lanes, thread_name_prefix="classifier")
        self._runners: list[asyncio.Task[None]] = []
        self._closed = False

    async def __aenter__(self) -> MicroBatcher:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def queued(self) -> int:
        """Sentences that wait for a batch."""
        return self._queued

    def start(self) -> None:
        """Start the tasks that form batches."""
        if not self._runners:
            self._runners = [asyncio.create_task(self._run(), name=f"micro-batcher-{n}") for n in range(self._lanes)]

    async def close(self) -> None:
        """Let the running batches finish; requests still in the queue raise Unavailable."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()
        await asyncio.gather(*self._runners)
        for request in self._queue:
            _fail(request, Unavailable("the classifier is closing"))
        self._queue.clear()
        self._threads.shutdown()

    async def classify(self, sentences: Sequence[str]) -> list[Reading]:
        """One reading a sentence, in order. Waits while the queue is full.

        Raises PoisonInput if these sentences fail also without others; Unavailable once closed; and what the classifier
        raises of retriable errors, for every request of the batch.
        """
        if not sentences:
            return []
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._closed or not self._queue or self._queued + len(sentences) <= self._limit
            )
            if self._closed:
                raise Unavailable("the classifier is closed")
            answer: asyncio.Future[list[Reading]] = asyncio.get_running_loop().create_future()
            self._queue.append(_Request(sentences, sum(map(estimated_pieces, sentences)), answer))
            self._queued += len(sentences)
            self._changed.notify_all()
        return await answer

    async def _run(self) -> None:
        while batch := await self._next():
            await self._answer(batch)

    async def _next(self) -> list[_Request]:
        """The requests of the next batch; empty when closed. Callers that have gone are dropped."""
        async with self._changed:
            batch: list[_Request] = []
            while not batch:
                await self._changed.wait_for(lambda: self._closed or self._queue)
                if self._closed:
                    return []
                pieces = 0
                while self._queue and (not batch or pieces + self._queue[0].pieces <= self._pieces):
                    request = self._queue.popleft()
                    self._queued -= len(request.sentences)
                    if not request.answer.done():
                        batch.append(request)
                        pieces += request.pieces
                self._changed.notify_all()
            return batch

    async def _answer(self, batch: Sequence[_Request]) -> None:
        """Run a batch; after a failure that is not retriable, halve it until the request that fails is alone."""
        sentences = [sentence for request in batch for sentence in request.sentences]
        self.batches += 1
        self.sentences += len(sentences)
        try:
            readings = await asyncio.get_running_loop().run_in_executor(
                self._threads, self.classifier.classify, sentences
            )
        except ClassifierError as error:
            if error.retriable or len(batch) == 1:
                for request in batch:
                    _fail(request, error)
                return
            middle = len(batch) // 2
            await self._answer(batch[:middle])
            await self._answer(batch[middle:])
        except Exception as error:  # noqa: BLE001  a fault of ours: every caller gets it, none waits for ever
            for request in batch:
                _fail(request, error)
        else:
            start = 0
            for request in batch:
                end = start + len(request.sentences)
                if not request.answer.done():
                    request.answer.set_result(readings[start:end])
                start = end


def _fail(request: _Request, error: Exception) -> None:
    if not request.answer.done():
        request.answer.set_exception(error)
