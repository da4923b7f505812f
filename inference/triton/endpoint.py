"""A Triton server as the classifier sees it: its connection, its breaker, the work it has in hand."""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from inference.artefact import Artefact
from inference.graph import Outputs
from inference.triton.breaker import Breaker
from inference.triton.connection import Connection, Question
from inference.triton.identity import Known, Served, agrees, served, wrong_answer
from streams.errors import DeadlineExceeded, NotServed, Overloaded, PoisonInput, Unavailable, VigiliaError, WrongModel

__all__ = ["RECHECK_SECONDS", "Endpoint"]

log = structlog.get_logger(__name__)

RECHECK_SECONDS = 30.0  # a server that is well is examined so often: its backend may die while nobody asks


class Endpoint:
    """One server. For one event loop."""

    def __init__(
        self,
        connection: Connection,
        breaker: Breaker,
        artefact: Artefact,
        known: Known,
        seconds: float,
    ) -> None:
        self._connection, self._breaker = connection, breaker
        self._artefact, self._known, self._seconds = artefact, known, seconds
        self._served: Served | None = None
        self._opened = asyncio.Event()
        self.examined = asyncio.Event()  # once at least
        self.trouble: VigiliaError | None = None  # why it can't be used
        self.in_flight = self.given = 0
        self.outcomes: Counter[str] = Counter()

    @property
    def where(self) -> str:
        """Its address."""
        return self._connection.where

    @property
    def usable(self) -> bool:
        """Whether it may be asked."""
        return self._breaker.closed

    @property
    def state(self) -> str:
        """What its breaker is: closed, open, or probing."""
        return self._breaker.state.value

    @property
    def version(self) -> str | None:
        """The version of the model that is asked; None before the first examination went well."""
        return None if self._served is None else self._served.version

    @property
    def rows(self) -> int:
        """The most rows of one request."""
        return 1 if self._served is None else self._served.rows

    async def infer(self, question: Question, seconds: float) -> Outputs:
        """Ask, and let the breaker know how it went. Raises as `Connection.infer`."""
        self.in_flight += question.pieces
        self.given += question.pieces
        try:
            answer = await self._connection.infer(question, self.version or "", seconds)
        except VigiliaError as error:
            self.outcomes[error.reason] += 1
            self._note(error)
            raise
        else:
            self.outcomes["answered"] += 1
            self._breaker.success()
            return answer
        finally:
            self.in_flight -= question.pieces

    def _note(self, error: VigiliaError) -> None:
        if isinstance(error, (NotServed, WrongModel)):
            self.trip(error)
        elif isinstance(error, (Unavailable, DeadlineExceeded)):
            self._breaker.failure()
            if not self._breaker.closed:
                self._tell_open(error)
        # Overloaded and PoisonInput come from a server that is there.

    def trip(self, error: VigiliaError) -> None:
        """Ask nothing more of it until an examination has gone well."""
        self._breaker.trip()
        self._tell_open(error)

    def _tell_open(self, error: VigiliaError) -> None:
        if not self._opened.is_set():
            self.trouble = error
            log.warning("classifier_endpoint_open", endpoint=self.where, reason=error.reason, error=str(error))
            self._opened.set()

    # ------------------------------------------------------------ examinations

    async def watch(self) -> None:
        """Examine it: at the start, when its breaker is open, and from time to time. Runs until cancelled."""
        while True:
            if self._breaker.closed:
                try:
                    await asyncio.wait_for(self._opened.wait(), RECHECK_SECONDS)
                except TimeoutError:
                    await self._recheck()
                continue
            await asyncio.sleep(self._breaker.pause())
            if self._breaker.probe():
                await self._probe()

    async def _probe(self) -> None:
        if isinstance(self.trouble, DeadlineExceeded):
            await self._connection.renew()
        trouble = await self._trouble()
        self._breaker.probed(trouble is None)
        if trouble is None:
            self._opened.clear()
            log.info(
                "classifier_endpoint_closed", endpoint=self.where, model=self._artefact.model, version=self.version
            )
        elif self.trouble is None or type(trouble) is not type(self.trouble):
            log.warning("classifier_endpoint_unwell", endpoint=self.where, reason=trouble.reason, error=str(trouble))
        self.trouble = trouble
        self.examined.set()

    async def _recheck(self) -> None:
        trouble = await self._trouble()
        if isinstance(trouble, Overloaded | DeadlineExceeded):
            self._note(trouble)  # busy, perhaps, with what was asked of it
        elif trouble is not None:
            self.trip(trouble)

    async def _trouble(self) -> VigiliaError | None:
        """What an examination finds: None if it serves our artefact and gives the known answer."""
        try:
            self._served = await self._identify()
            await self.answers()
        except VigiliaError as error:
            # To fail on a question that has been answered is no fault of the question.
            return Unavailable(str(error)) if isinstance(error, PoisonInput) else error
        return None

    async def _identify(self) -> Served:
        metadata, config = await self._connection.described("", self._seconds)
        return served(metadata, config, self._artefact, self.where)

    async def answers(self) -> None:
        """Ask the known question. Raises Unavailable if the answer is another, or as `Connection.infer`."""
        answer = await self._connection.infer(Question(self._known.question), self.version or "", self._seconds)
        if not agrees(answer, self._known):
            raise wrong_answer(self.where)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
