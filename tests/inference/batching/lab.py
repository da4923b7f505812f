"""What the micro-batcher's tests share: a classifier whose answers are known, and a way to keep it busy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from inference.batching import Fixed, MicroBatcher
from inference.classifier import Reading
from streams.errors import PoisonInput


class Lengths:
    """A classifier whose reading of a sentence is its length; "poison" fails, and every call is recorded.

    `errors` are raised by the next calls, one each; `error` by every call while it is set.
    """

    model = "lengths@0"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.error: Exception | None = None
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        self.calls.append(list(sentences))
        self.gate.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        if self.error is not None:
            raise self.error
        if "poison" in sentences:
            raise PoisonInput("a sentence fails")
        return [Reading(float(len(sentence))) for sentence in sentences]

    def close(self) -> None: ...


def run(classifier: Lengths, body: Callable[[MicroBatcher], Awaitable[None]], **options: Any) -> None:
    """Run `body` with a batcher that has one batch in flight and never lingers, unless `options` say otherwise."""

    async def main() -> None:
        async with MicroBatcher(classifier, **{"limit": Fixed(1), "linger": 0.0, **options}) as batcher:
            await asyncio.wait_for(body(batcher), 30)

    asyncio.run(main())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def occupied(classifier: Lengths, batcher: MicroBatcher) -> asyncio.Task[list[Reading]]:
    """A request that the classifier is busy with until its gate opens."""
    task = asyncio.create_task(batcher.classify(["opens"]))
    await until(lambda: classifier.calls)
    return task


def asked_while_busy(sentences: Sequence[str], **options: Any) -> list[list[str]]:
    """The batches in which sentences, each a request of its own, are read that came while the classifier was busy."""
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        tasks = []
        for sentence in sentences:
            tasks.append(asyncio.create_task(batcher.classify([sentence])))
            await asyncio.sleep(0)
        await until(lambda: batcher.queued == len(sentences))
        classifier.gate.set()
        await asyncio.gather(first, *tasks)

    run(classifier, body, **options)
    return classifier.calls[1:]
