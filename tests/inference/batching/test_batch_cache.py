"""What need not be computed: remembered, spared and shared sentences."""

from __future__ import annotations

import asyncio

import pytest

from inference.batching import MicroBatcher
from inference.cache import SentenceCache
from inference.classifier import Reading
from inference.first_stage import FirstStage, Header
from streams.errors import PoisonInput, WrongModel
from tests.inference.batching.lab import Lengths, occupied, run, until


def test_with_a_cache_a_sentence_is_read_once_and_everybody_gets_its_reading() -> None:
    classifier, cache = Lengths(), SentenceCache(100)

    async def body(batcher: MicroBatcher) -> None:
        requests = [["same", "same", f"other {n}"] for n in range(20)]
        answers = await asyncio.gather(*(batcher.classify(request) for request in requests))
        again = await batcher.classify(["same", "other 3"])
        assert [[r.probability for r in a] for a in answers] == [[float(len(s)) for s in r] for r in requests]
        assert [r.probability for r in again] == [4.0, 7.0]

    run(classifier, body, cache=cache)
    asked = [sentence for call in classifier.calls for sentence in call]
    assert sorted(asked) == sorted(["same", *(f"other {n}" for n in range(20))])


def test_without_a_cache_every_sentence_is_read_as_often_as_it_is_asked() -> None:
    classifier = Lengths()

    async def body(batcher: MicroBatcher) -> None:
        assert len(await batcher.classify(["same"] * 5)) == 5

    run(classifier, body)
    assert sum(map(len, classifier.calls)) == 5


def test_an_error_is_not_remembered() -> None:
    classifier = Lengths()
    classifier.error = WrongModel("another")

    async def body(batcher: MicroBatcher) -> None:
        with pytest.raises(WrongModel):
            await batcher.classify(["a"])
        classifier.error = None
        assert [r.probability for r in await batcher.classify(["a"])] == [1.0]

    run(classifier, body, cache=SentenceCache(10))


def test_a_poisoned_sentence_fails_everybody_who_waits_for_it_and_nobody_else() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        tasks = [asyncio.create_task(batcher.classify(r)) for r in (["poison", "x"], ["x", "y"], ["poison"])]
        await until(lambda: batcher.queued == 3)
        classifier.gate.set()
        answers = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert [isinstance(answer, PoisonInput) for answer in answers] == [False, True, False, True]

    run(classifier, body, cache=SentenceCache(10))


def test_a_sentence_that_is_shared_survives_the_first_caller() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        gone = asyncio.create_task(batcher.classify(["shared"]))
        await until(lambda: batcher.queued == 1)
        stays = asyncio.create_task(batcher.classify(["shared"]))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0)
        classifier.gate.set()
        await first
        assert [r.probability for r in await stays] == [6.0]

    run(classifier, body, cache=SentenceCache(10))


def test_a_spared_sentence_never_reaches_the_classifier_nor_the_queue() -> None:
    nothing = FirstStage(Header(2, 4, 1, 0.01, {}), bytes(16))  # every score is 0
    classifier = Lengths()

    async def body(batcher: MicroBatcher) -> None:
        assert await batcher.classify(["a", "b"]) == [Reading(0.01), Reading(0.01)]
        assert (batcher.spared, batcher.sentences) == (2, 0)

    run(classifier, body, first_stage=nothing)
    assert classifier.calls == []


def test_spared_remembered_and_read_sentences_come_back_in_their_places() -> None:
    weights = bytearray(1 << 10)
    stage = FirstStage(Header(2, 10, -1, 0.01, {}), bytes(weights))
    classifier, cache = Lengths(), SentenceCache(10)
    cache.put("cached", Reading(0.77))

    async def body(batcher: MicroBatcher) -> None:
        answer = await batcher.classify(["read it", "cached", "read"])
        assert [r.probability for r in answer] == [7.0, 0.77, 4.0]

    run(classifier, body, cache=cache, first_stage=stage)
    assert classifier.calls == [["read it", "read"]]
