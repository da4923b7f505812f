"""Sentences of many messages become batches of about one length: asynchronous outside, threads inside.

There is no linger timer. While batches run in the threads, the next one forms in the queue; an idle classifier starts
at once. What decides a batch's size is a budget of padded pieces, not a number of sentences. There are two lanes: while
the model runs on one batch, the next is tokenised and the last one's spans are read.

A batch is made round the sentence that waits longest: all that is near it in length, the oldest of a length first, then
the next lengths, until the budget is used up. So the model gets few large runs instead of many small ones, and nobody
is passed over: every batch takes the oldest, so a sentence waits for at most as many batches as sentences were before
it. While little waits, a batch holds everything there is, and lengths make no difference to anybody.

A sentence that the cache holds, or that the first stage spares, never gets into the queue; with a cache, one that
somebody else is waiting for already is not queued a second time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

from inference.cache import SentenceCache
from inference.classifier import Classifier, Reading
from inference.first_stage import FirstStage
from streams.errors import ClassifierError, Unavailable

CHARACTERS_A_PIECE = 4  # ADE-Corpus: 4.4 on average; a short estimate would let a batch outgrow its budget
LENGTH_STEP = 8


def estimated_pieces(sentence: str) -> int:
    """Pieces a sentence takes with its padding, estimated from its characters: counting them is the thread's work.

    >>> estimated_pieces("No adverse events."), estimated_pieces("x" * 10_000)
    (8, 2504)
    """
    pieces = 2 + len(sentence) // CHARACTERS_A_PIECE
    return -(-pieces // LENGTH_STEP) * LENGTH_STEP


class _Request:
    """Sentences that one caller waits for."""

    __slots__ = ("answer", "missing", "readings")

    def __init__(self, readings: list[Reading | None]) -> None:
        self.readings = readings
        self.missing = readings.count(None)
        self.answer: asyncio.Future[list[Reading]] = asyncio.get_running_loop().create_future()

    def take(self, index: int, reading: Reading) -> None:
        """One more reading; the last one answers."""
        self.readings[index] = reading
        self.missing -= 1
        if not self.missing and not self.answer.done():
            self.answer.set_result([found for found in self.readings if found is not None])

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(eq=False, slots=True)
class _Waiting:
    """A sentence on its way through the classifier, and the places of requests that wait for it."""

    sentence: str
    number: int
    places: list[tuple[_Request, int]] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        return any(not request.answer.done() for request, _ in self.places)


class MicroBatcher:
    """`await classify(sentences)` from any number of tasks; use as `async with MicroBatcher(classifier) as batcher`.

    `pieces` is the budget of a batch, `waiting` the most sentences in the queue: beyond it `classify` waits, which is
    the backpressure that pauses intake. A request larger than that is taken when the queue is empty, so none waits for
    ever. The classifier stays the caller's: `close` does not close it.
    """

    def __init__(
        self,
        classifier: Classifier,
        pieces: int = 2048,
        waiting: int = 2048,
        lanes: int = 2,
        *,
        cache: SentenceCache | None = None,
        first_stage: FirstStage | None = None,
    ) -> None:
        self.classifier = classifier
        self.cache, self.first_stage = cache, first_stage
        self.batches = self.sentences = self.spared = 0
        self._pieces = pieces
        self._limit = waiting
        self._queues: dict[int, deque[_Waiting]] = {}  # by padded length; none is empty
        self._queued = self._numbered = 0
        self._by_text: dict[str, _Waiting] = {}  # queued or running; of use with a cache only
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
        for queue in self._queues.values():
            self._fail(queue, Unavailable("the classifier is closing"))
        self._queues.clear()
        self._threads.shutdown()

    async def classify(self, sentences: Sequence[str]) -> list[Reading]:
        """One reading a sentence, in order. Waits while the queue is full.

        Raises PoisonInput if these sentences fail also without others; Unavailable once closed; and what the classifier
        raises of retriable errors, for every request of the batch.
        """
        readings = [self._known(sentence) for sentence in sentences]
        missing = readings.count(None)
        if not missing and not self._closed:
            return [found for found in readings if found is not None]
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._closed or not self._queued or self._queued + missing <= self._limit
            )
            if self._closed:
                raise Unavailable("the classifier is closed")
            request = _Request(readings)
            for index, reading in enumerate(readings):
                if reading is None:
                    self._enqueue(sentences[index], request, index)
            self._changed.notify_all()
        return await request.answer

    def _known(self, sentence: str) -> Reading | None:
        """What need not be computed."""
        if self.cache is not None and (reading := self.cache.get(sentence)) is not None:
            return reading
        if self.first_stage is not None and (reading := self.first_stage.reading(sentence)) is not None:
            self.spared += 1
            return reading
        return None

    def _enqueue(self, sentence: str, request: _Request, index: int) -> None:
        waiting = self._by_text.get(sentence) if self.cache is not None else None
        if waiting is None:
            waiting = self._by_text[sentence] = _Waiting(sentence, self._numbered)
            self._numbered += 1
            self._queues.setdefault(estimated_pieces(sentence), deque()).append(waiting)
            self._queued += 1
        waiting.places.append((request, index))

    async def _run(self) -> None:
        while batch := await self._next():
            await self._answer(batch)

    async def _next(self) -> list[_Waiting]:
        """The next batch; empty when closed. Sentences whose callers have gone are dropped."""
        async with self._changed:
            batch: list[_Waiting] = []
            while not batch:
                await self._changed.wait_for(lambda: self._closed or self._queued)
                if self._closed:
                    return []
                batch = self._form()
                self._changed.notify_all()
            return batch

    def _form(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        pieces = 0
        for length in self._lengths():
            queue = self._queues[length]
            while queue and (not batch or pieces + length <= self._pieces):
                waiting = queue.popleft()
                self._queued -= 1
                if waiting.wanted:
                    batch.append(waiting)
                    pieces += length
                else:
                    self._forget(waiting)
            if queue:
                break  # the budget is used up; a shorter one that would still fit would only make a run of its own
            del self._queues[length]
        return batch

    def _lengths(self) -> Iterator[int]:
        """The lengths that wait, from that of the oldest sentence to those farthest from it."""
        oldest = min(self._queues, key=lambda length: self._queues[length][0].number)
        yield from sorted(self._queues, key=lambda length: (abs(length - oldest), length))

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Run a batch; after a failure that is not retriable, halve it until the sentence that fails is alone."""
        sentences = [waiting.sentence for waiting in batch]
        self.batches += 1
        self.sentences += len(sentences)
        try:
            readings = await asyncio.get_running_loop().run_in_executor(
                self._threads, self.classifier.classify, sentences
            )
        except ClassifierError as error:
            if error.retriable or len(batch) == 1:
                self._fail(batch, error)
                return
            middle = len(batch) // 2
            await self._answer(batch[:middle])
            await self._answer(batch[middle:])
        except Exception as error:  # noqa: BLE001  a fault of ours: every caller gets it, none waits for ever
            self._fail(batch, error)
        else:
            for waiting, reading in zip(batch, readings, strict=True):
                self._forget(waiting)
                if self.cache is not None:
                    self.cache.put(waiting.sentence, reading)
                for request, index in waiting.places:
                    request.take(index, reading)

    def _fail(self, batch: Sequence[_Waiting] | deque[_Waiting], error: Exception) -> None:
        for waiting in batch:
            self._forget(waiting)
            for request, _ in waiting.places:
                request.fail(error)

    def _forget(self, waiting: _Waiting) -> None:
        if self._by_text.get(waiting.sentence) is waiting:
            del self._by_text[waiting.sentence]
