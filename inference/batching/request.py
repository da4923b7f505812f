"""What a caller asks for, and a sentence on its way to the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.classifier import Reading

__all__ = ["Request", "Waiting"]


class Request:
    """Sentences that one caller waits for. `readings` holds None where one has to be read."""

    __slots__ = ("answer", "missing", "readings", "sentences", "since", "topic")

    def __init__(self, topic: str, sentences: Sequence[str], readings: list[Reading | None], since: float) -> None:
        self.topic, self.sentences, self.readings, self.since = topic, sentences, readings, since
        self.missing = readings.count(None)
        self.answer: asyncio.Future[list[Reading]] = asyncio.get_running_loop().create_future()

    @property
    def wanted(self) -> bool:
        """Whether the caller is still there."""
        return not self.answer.done()

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
class Waiting:
    """A sentence on its way through the classifier, and the places of requests that wait for it.

    `number` rises with each sentence that comes, `since` is the clock's time of that, `pieces` its estimated length.
    """

    sentence: str
    topic: str
    pieces: int
    number: int
    since: float
    places: list[tuple[Request, int]] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return any(request.wanted for request, _ in self.places)
