"""Texts that wait for the classifier: how many may, and what is done while it is away.

A classifier that can't be reached, or has no room, is tried again for as long as the text is wanted: an outage is no
reason to give up a message. (The micro-batcher does so by itself.) A text that makes it fail by itself is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from streams.assess.text import Reader, TextReading, read_text
from streams.errors import ClassifierError, PoisonInput
from streams.monitors import TextSettings

__all__ = ["TextDesk"]

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between tries, doubling
MOST_TEXTS = 512
MOST_CHARACTERS = 8_000_000

Done = Callable[[TextReading | PoisonInput], None]


class TextDesk:
    """Reads texts in tasks, one each. `on_failure` is told of errors that trying again can't mend."""

    def __init__(
        self,
        reader: Reader,
        settings: TextSettings,
        on_failure: Callable[[BaseException], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reader, self._settings = reader, settings
        self._on_failure, self._pause = on_failure, pause
        self._tasks: dict[asyncio.Task[None], int] = {}  # and the characters of each
        self._characters = 0

    async def room(self) -> None:
        """Wait while too many texts, or too long ones, are being read."""
        while len(self._tasks) >= MOST_TEXTS or self._characters >= MOST_CHARACTERS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def read(
        self, text: str, topic: str, wanted: Callable[[], bool], done: Done, products: Sequence[str] | None = None
    ) -> None:
        """Have a text of `topic` read (`streams.assess.text`) and call `done`, unless it is not `wanted` any more."""
        task = asyncio.create_task(self._read(text, topic, wanted, done, products))
        self._tasks[task] = len(text)
        self._characters += len(text)
        task.add_done_callback(self._ended)

    async def _read(
        self, text: str, topic: str, wanted: Callable[[], bool], done: Done, products: Sequence[str] | None
    ) -> None:
        pause = FIRST_PAUSE
        while wanted():
            try:
                reading = await read_text(text, topic, self._reader, self._settings, products)
            except PoisonInput as error:
                return done(error)
            except ClassifierError as error:
                if not error.retriable:
                    raise
                log.warning("classifier_waited_for", reason=error.reason, seconds=pause)
            else:
                return done(reading)
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._characters -= self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)

    async def close(self) -> None:
        """Give up every text that is not read."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
