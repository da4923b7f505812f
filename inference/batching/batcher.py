"""Sentences of many messages become batches: asynchronous outside, threads inside.

**When a batch leaves.** When fewer batches are in flight than `limit` allows, and: none is (an idle classifier starts
at once), or the batch is full, or its oldest sentence has waited for `linger` seconds. In process nothing is gained by
lingering; of calls to a server it saves most at half load (docs/decisions/batching.md).

**What a caller sees of a failing classifier.** A retriable error is not passed on: the batch goes back to its place in
the queue and callers wait. After one, nothing leaves for a pause that doubles from `FIRST_PAUSE` to `LONGEST_PAUSE`,
then one batch at a time until one is answered. Overloaded and DeadlineExceeded also lower the limit, and a deadline
halves the batches (they grow again with each answer), so that none is for ever too large for it. PoisonInput: the batch
is halved until the sentence that fails is alone; its caller gets the error. Any other error goes to every caller of the
batch.

A sentence that the cache holds, or that the first stage spares, never gets into the queue; with a cache, one that
somebody of the same topic is waiting for already is not queued a second time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from inference.batching.fair import FairQueue, estimated_pieces
from inference.batching.figures import Figures
from inference.batching.limit import PIECES, Fixed, Limit
from inference.batching.request import Request, Waiting
from inference.cache import SentenceCache
from inference.classifier import Classifier, Reading
from inference.first_stage import FirstStage
from streams.errors import ClassifierError, DeadlineExceeded, Overloaded, PoisonInput, Unavailable

__all__ = ["MicroBatcher"]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds

Held = Callable[[ClassifierError | None], None]


class MicroBatcher:
    """`await classify(sentences)` from any number of tasks; use as `async with MicroBatcher(classifier) as batcher`.

    What is not given is as a classifier in process wants it. `pieces` is the budget of a batch, `waiting` the most
    sentences of one topic in the queue: beyond it `classify` waits, which is the backpressure that pauses intake. A
    request larger than that is taken when its topic has nothing in the queue, so none waits for ever. `on_held` is
    called on the event loop with the retriable error after which nothing gets through, and with None when something
    does again. The classifier stays the caller's: `close` does not close it.
    """

    def __init__(
        self,
        classifier: Classifier,
        pieces: int = PIECES,
        waiting: int = 2048,
        limit: Limit | None = None,
        *,
        linger: float = 0.0,
        cache: SentenceCache | None = None,
        first_stage: FirstStage | None = None,
        on_held: Held | None = None,
    ) -> None:
        self.classifier = classifier
        self.cache, self.first_stage = cache, first_stage
        self.figures = Figures(classifier)
        self.batches = self.sentences = self.spared = self.in_flight = 0
        self.held: ClassifierError | None = None
        self.limit: Limit = limit if limit is not None else Fixed()
        self._on_held = on_held
        self._pieces = self._budget = pieces
        self._linger = linger
        self._queue = FairQueue(waiting)
        self._lobbies: dict[str, deque[Request]] = {}  # by topic: requests that find the queue full; none is empty
        self._numbered = 0
        self._by_text: dict[tuple[str, str], Waiting] = {}  # queued or running; of use with a cache only
        self._threads = ThreadPoolExecutor(self.limit.most, thread_name_prefix="classifier")
        self._running: set[asyncio.Task[None]] = set()
        self._pause, self._not_before = FIRST_PAUSE, 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._looking = False
        self._closed = False

    async def __aenter__(self) -> MicroBatcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def queued(self) -> int:
        """Sentences that wait for a batch."""
        return self._queue.queued

    def shown(self) -> dict[str, object]:
        """For a status line: what happened since the last one, and what is now."""
        found = self.figures.shown() | {
            "queued": self.queued,
            "in_flight": self.in_flight,
            "in_flight_limit": self.limit.now,
            "held": None if self.held is None else self.held.reason,
        }
        self.figures.begin()
        return found

    async def close(self) -> None:
        """Let the running batches finish; requests still in the queue raise Unavailable."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._running:
            await asyncio.gather(*self._running)
        closing = Unavailable("the classifier is closing")
        self._fail(self._queue.clear(), closing)
        for request in [request for lobby in self._lobbies.values() for request in lobby]:
            request.fail(closing)
        self._lobbies.clear()
        self._threads.shutdown()

    async def classify(self, sentences: Sequence[str], topic: str = "") -> list[Reading]:
        """One reading a sentence, in order. Waits while the queue is full or the classifier away.

        Topics take turns: see `inference.batching.fair`. Raises PoisonInput if these sentences fail also without
        others; Unavailable once closed; and what the classifier raises that neither is retriable nor PoisonInput.
        """
        if self._closed:
            raise Unavailable("the classifier is closed")
        readings = [self._known(sentence) for sentence in sentences]
        request = Request(topic, sentences, readings, asyncio.get_running_loop().time())
        if not request.missing:
            return [found for found in readings if found is not None]
        self._lobbies.setdefault(topic, deque()).append(request)
        self._admit(topic)
        return await request.answer

    def _known(self, sentence: str) -> Reading | None:
        """What need not be computed."""
        if self.cache is not None and (reading := self.cache.get(sentence)) is not None:
            return reading
        if self.first_stage is not None and (reading := self.first_stage.reading(sentence)) is not None:
            self.spared += 1
            return reading
        return None

    # ------------------------------------------------------------ into the queue

    def _admit(self, topic: str) -> None:
        """Let requests of the topic into the queue, in order, while there is room."""
        lobby = self._lobbies[topic]
        while lobby and (not lobby[0].wanted or self._queue.has_room(topic, lobby[0].missing)):
            request = lobby.popleft()
            if request.wanted:
                self._enter(request)
        if not lobby:
            del self._lobbies[topic]

    def _enter(self, request: Request) -> None:
        for index, reading in enumerate(request.readings):
            if reading is None:
                self._enqueue(request.sentences[index], request, index)
        self._look_soon()

    def _enqueue(self, sentence: str, request: Request, index: int) -> None:
        key = (request.topic, sentence)
        waiting = self._by_text.get(key) if self.cache is not None else None
        if waiting is None:
            waiting = Waiting(sentence, request.topic, estimated_pieces(sentence), self._numbered, request.since)
            self._by_text[key] = waiting
            self._numbered += 1
            self._queue.add(waiting)
        waiting.places.append((request, index))

    # ------------------------------------------------------------ out of the queue

    def _look_soon(self) -> None:
        """Look whether a batch may leave, after everybody who is ready to run has run."""
        if not self._looking and not self._closed:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = asyncio.get_running_loop().time()
        while self._queue.queued and not self._closed and self.in_flight < (1 if self.held else self.limit.now):
            if (due := self._due()) > now:
                self._timer = asyncio.get_running_loop().call_at(due, self._look)
                return
            self._leave(now)

    def _due(self) -> float:
        """When the next batch may leave."""
        if not self.in_flight or self._queue.pieces >= self._budget:
            return self._not_before
        return max(self._not_before, self._queue.oldest_since() + self._linger)

    def _leave(self, now: float) -> None:
        batch, dropped = self._queue.take(self._budget)
        for waiting in dropped:
            self._forget(waiting)
        for topic in list(self._lobbies):
            self._admit(topic)
        if batch:
            for waiting in batch:
                self.figures.queue_seconds.add(now - waiting.since)
            self.figures.fill.add(sum(waiting.pieces for waiting in batch) / self._pieces)
            self.in_flight += 1
            task = asyncio.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, batch: Sequence[Waiting]) -> None:
        try:
            await self._answer(batch)
        finally:
            self.in_flight -= 1
            self._look_soon()

    async def _answer(self, batch: Sequence[Waiting]) -> None:
        """Have a batch read; after a PoisonInput, halve it until the sentence that fails is alone."""
        loop = asyncio.get_running_loop()
        sentences, in_flight, started = [waiting.sentence for waiting in batch], self.in_flight, loop.time()
        self.batches += 1
        try:
            readings = await loop.run_in_executor(self._threads, self.classifier.classify, sentences)
        except PoisonInput as error:
            self._gets_through()
            if len(batch) == 1:
                self._fail(batch, error)
            else:
                middle = len(batch) // 2
                await self._answer(batch[:middle])
                await self._answer(batch[middle:])
        except ClassifierError as error:
            if error.retriable and not self._closed:
                self._wait(batch, error, started)
            else:
                self._fail(batch, error)
        except Exception as error:  # noqa: BLE001  a fault of ours: every caller gets it, none waits for ever
            self._fail(batch, error)
        else:
            self._gets_through()
            pieces = sum(waiting.pieces for waiting in batch)
            if 2 * pieces >= self._pieces:
                self.limit.took(started, loop.time(), pieces, in_flight)
            self._give(batch, readings)

    def _give(self, batch: Sequence[Waiting], readings: Sequence[Reading]) -> None:
        self.sentences += len(batch)
        for waiting, reading in zip(batch, readings, strict=True):
            self._forget(waiting)
            if self.cache is not None:
                self.cache.put(waiting.sentence, reading)
            for request, index in waiting.places:
                request.take(index, reading)

    # ------------------------------------------------------------ errors

    def _wait(self, batch: Sequence[Waiting], error: ClassifierError, started: float) -> None:
        """Put a batch back, and have the next wait."""
        now = asyncio.get_running_loop().time()
        self._queue.put_back(batch)
        if isinstance(error, Overloaded | DeadlineExceeded):
            self.limit.refused(started, now)
        if isinstance(error, DeadlineExceeded):
            self._budget = max(1, min(self._budget, sum(waiting.pieces for waiting in batch) // 2))
        if started >= self._not_before:  # else it left before the pause that is on: no reason for a longer one
            self._not_before = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._hold(error)

    def _gets_through(self) -> None:
        self._pause, self._not_before = FIRST_PAUSE, 0.0
        self._budget = min(2 * self._budget, self._pieces)
        self._hold(None)

    def _hold(self, error: ClassifierError | None) -> None:
        if type(error) is not type(self.held):
            self.held = error
            if self._on_held is not None:
                self._on_held(error)

    def _fail(self, batch: Iterable[Waiting], error: Exception) -> None:
        for waiting in batch:
            self._forget(waiting)
            for request, _ in waiting.places:
                request.fail(error)

    def _forget(self, waiting: Waiting) -> None:
        key = (waiting.topic, waiting.sentence)
        if self._by_text.get(key) is waiting:
            del self._by_text[key]
