"""The classifier on Triton: the same tokenizer, batches and decoding as in process, the graph on servers elsewhere.

`classify` is called from threads; the clients of the servers live on an event loop in a thread of its own. Each batch
of one padded length is one request, and goes to the server with the least work in flight.

**What is tried again here**: a request that found nobody, or no room, once more on another server or, if nobody was
there, after a moment on the same. Everything else is the caller's: `inference.batching` waits, slows down, halves.

**What the breaker does**: a server that fails twice in a row is asked nothing any more, but for the known question,
within a second of it again and again. While no server is left `classify` raises Unavailable at once.

**What makes an input poison**: a server that fails in itself (INTERNAL) may have a dead backend, and whoever shares a
batch with a bad input fails with it, for Triton joins requests of all clients. So first the known question is asked:
if that fails too, it is the server. Then a single sentence is sent again as a whole batch of nothing but copies of it,
to which Triton can't add anybody's. What fails then, on a server that is well, is poison.

Pauses before a second try are random, and decide nothing: a reading depends on the sentence alone.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, TypeVar

import numpy as np

from inference.artefact import Artefact
from inference.graph import Batch, GraphClassifier, Outputs
from inference.triton.breaker import Breaker
from inference.triton.choice import least_loaded
from inference.triton.connection import Address, Connection, Question, Tls
from inference.triton.endpoint import Endpoint
from inference.triton.identity import known_answer
from streams.errors import (
    ClassifierError,
    DeadlineExceeded,
    NotServed,
    Overloaded,
    PoisonInput,
    Unavailable,
    VigiliaError,
)

__all__ = ["MODEL", "TritonClassifier"]

MODEL = "adverse_event"
AT_A_TIME = 4  # requests of one call: enough to keep a server busy, too few to time out in its queue behind each other
SECOND_TRY = (0.02, 0.1)  # seconds before it, at least and at most
CLOSE_SECONDS = 5.0
Answer = TypeVar("Answer")


class TritonClassifier(GraphClassifier):
    """A `Classifier` on one or more Triton servers. `model_name` is the model's in their repositories.

    `seconds` is the deadline of a request. Servers that are away at the start are waited for; see `check`. Raises
    WrongModel if the artefact can't be run here, ConfigurationError for TLS files that can't be read.
    """

    def __init__(
        self,
        artefact: Artefact,
        addresses: Sequence[Address],
        *,
        model_name: str = MODEL,
        seconds: float = 10.0,
        tls: Tls | None = None,
        tokens: int = 2048,
    ) -> None:
        super().__init__(artefact, tokens)
        self._seconds = seconds
        self._known = known_answer(artefact)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="triton", daemon=True)
        self._thread.start()
        self._watching: list[asyncio.Task[None]] = []
        self._fault: BaseException | None = None
        self._endpoints: list[Endpoint] = []
        try:
            self._on_loop(self._open(addresses, model_name, tls or Tls()))
        except BaseException:
            self.close()
            raise

    async def _open(self, addresses: Sequence[Address], model_name: str, tls: Tls) -> None:
        for address in addresses:
            connection = Connection(address, model_name, tls)
            breaker = Breaker(time.monotonic, random.random)
            self._endpoints.append(Endpoint(connection, breaker, self.artefact, self._known, self._seconds))
        for endpoint in self._endpoints:
            watching = asyncio.create_task(endpoint.watch())
            watching.add_done_callback(partial(self._watch_ended, endpoint))
            self._watching.append(watching)

    def _watch_ended(self, endpoint: Endpoint, watching: asyncio.Task[None]) -> None:
        """A fault of ours: every caller gets it, none waits for ever for a server that nobody examines."""
        if not watching.cancelled():
            self._fault = watching.exception()
            endpoint.examined.set()

    # ------------------------------------------------------------ from any thread

    def run(self, batches: Sequence[Batch]) -> Iterator[Outputs]:
        """See `GraphClassifier`. Some at a time. A retriable error comes before one that gives an input up."""
        return iter(self._on_loop(self._all([Question(batch) for batch in batches])))

    def examined(self) -> None:
        """Wait until each server was examined once."""
        self._on_loop(self._first_examinations())

    def check(self) -> None:
        """As `examined`. Raises what a call would raise if no server can be used."""
        self.examined()
        if not any(endpoint.usable for endpoint in self._endpoints):
            raise self._nobody()

    def servers(self) -> dict[str, dict[str, object]]:
        """Of each server: the state of its breaker, the version asked, pieces in flight, what calls ended with."""
        return {
            endpoint.where: {
                "state": endpoint.state,
                "version": endpoint.version,
                "in_flight": endpoint.in_flight,
                "calls": dict(sorted(endpoint.outcomes.items())),
            }
            for endpoint in self._endpoints
        }

    def troubles(self) -> dict[str, VigiliaError | None]:
        """Why each server can't be used at present; None for one that can."""
        return {endpoint.where: None if endpoint.usable else endpoint.trouble for endpoint in self._endpoints}

    def close(self) -> None:
        """Close the connections; calls under way raise Unavailable. A server ends sooner without open clients."""
        if self._loop.is_closed():
            return
        self._on_loop(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    def _on_loop(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        if self._loop.is_closed():
            work.close()
            raise Unavailable("the classifier is closed")
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except CancelledError:
            raise Unavailable("the classifier is closing") from None

    # ------------------------------------------------------------ on the loop

    async def _shut(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for endpoint in self._endpoints:
            await endpoint.close()

    async def _first_examinations(self) -> None:
        await asyncio.gather(*(endpoint.examined.wait() for endpoint in self._endpoints))

    async def _all(self, questions: Sequence[Question]) -> list[Outputs]:
        turns = asyncio.Semaphore(AT_A_TIME)

        async def in_turn(question: Question) -> Outputs:
            async with turns:
                return await self._ask(question, self._loop.time() + self._seconds)

        found = await asyncio.gather(*map(in_turn, questions), return_exceptions=True)
        failures = [error for error in found if isinstance(error, BaseException)]
        if failures:
            raise min(failures, key=lambda error: isinstance(error, ClassifierError) and not error.retriable)
        return [outputs for outputs in found if isinstance(outputs, Outputs)]

    async def _ask(self, question: Question, deadline: float) -> Outputs:
        endpoint = await self._choose()
        try:
            return await self._outputs(endpoint, question, deadline)
        except (Unavailable, Overloaded) as error:
            other = least_loaded(self._endpoints, endpoint)
            if other is None or (other is endpoint and isinstance(error, Overloaded)):
                raise
        await asyncio.sleep(random.uniform(*SECOND_TRY))
        return await self._outputs(other, question, deadline)

    async def _choose(self) -> Endpoint:
        """The least loaded server. Raises Unavailable or WrongModel if there is none, once all were examined."""
        while (found := least_loaded(self._endpoints)) is None:
            if self._fault is not None:
                raise self._fault
            new = [asyncio.ensure_future(e.examined.wait()) for e in self._endpoints if not e.examined.is_set()]
            if not new:
                raise self._nobody()
            await asyncio.wait(new, return_when=asyncio.FIRST_COMPLETED)
            for waiting in new:
                waiting.cancel()
        return found

    def _nobody(self) -> VigiliaError:
        """Why no server can be used: one that is only away may come back, so others' faults count when none is."""
        troubles = [endpoint.trouble for endpoint in self._endpoints if endpoint.trouble is not None]
        passing = [trouble for trouble in troubles if trouble.retriable]
        if troubles and not passing:
            return type(troubles[0])(str(troubles[0]))
        kinds = {type(trouble) for trouble in passing}
        kind = NotServed if kinds == {NotServed} else Unavailable
        return kind("; ".join(str(trouble) for trouble in passing) or "no server was examined yet")

    async def _outputs(self, endpoint: Endpoint, question: Question, deadline: float) -> Outputs:
        try:
            return await endpoint.infer(question, self._left(deadline))
        except PoisonInput as error:
            await self._clear(endpoint, error)
            if not question.batch.single:
                raise
        return _joined([await self._alone(endpoint, question, row) for row in range(question.rows)])

    async def _alone(self, endpoint: Endpoint, question: Question, row: int) -> Outputs:
        """The outputs of one row, computed in nobody's company. Raises PoisonInput if that fails too."""
        try:
            return await endpoint.infer(question.alone(row, endpoint.rows), self._seconds)
        except PoisonInput as error:
            await self._clear(endpoint, error)
            raise

    async def _clear(self, endpoint: Endpoint, error: PoisonInput) -> None:
        """Return if the server is well. Else it is not used further; raises Unavailable."""
        try:
            await endpoint.answers()
        except Overloaded:
            raise
        except VigiliaError as found:
            trouble = found if isinstance(found, Unavailable) else Unavailable(str(found))
            endpoint.trip(trouble)
            raise trouble from error

    def _left(self, deadline: float) -> float:
        left = deadline - self._loop.time()
        if left <= 0:
            raise DeadlineExceeded(f"no answer within {self._seconds} s")
        return left


def _joined(rows: Sequence[Outputs]) -> Outputs:
    """The first row of each answer."""
    return Outputs(*(np.concatenate([part[:1] for part in parts]) for parts in zip(*rows, strict=True)))
