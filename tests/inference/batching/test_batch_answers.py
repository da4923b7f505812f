"""The micro-batcher answers every sentence once, in its place, with bounded memory."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching import Fixed, MicroBatcher
from inference.classifier import Classifier
from streams.errors import Unavailable
from tests.inference.batching.lab import Lengths, occupied, run, until


def test_the_fake_is_a_classifier() -> None:
    assert isinstance(Lengths(), Classifier)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.text(max_size=30), max_size=5), max_size=30),
    st.integers(1, 200),
    st.integers(1, 20),
    st.integers(1, 3),
)
def test_every_request_gets_its_own_readings_in_order(
    requests: list[list[str]], pieces: int, waiting: int, lanes: int
) -> None:
    requests = [[s for s in request if s != "poison"] for request in requests]

    async def body(batcher: MicroBatcher) -> None:
        answers = await asyncio.gather(*(batcher.classify(request) for request in requests))
        assert [[r.probability for r in a] for a in answers] == [[float(len(s)) for s in r] for r in requests]
        assert batcher.sentences == sum(map(len, requests))

    run(Lengths(), body, pieces=pieces, waiting=waiting, limit=Fixed(lanes))


def test_while_a_batch_runs_the_next_forms_and_requests_stay_in_order() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        tasks = [asyncio.create_task(batcher.classify([name])) for name in "abcde"]
        await until(lambda: batcher.queued == 5)
        classifier.gate.set()
        await asyncio.gather(first, *tasks)

    run(classifier, body)
    assert classifier.calls == [["opens"], ["a", "b", "c", "d", "e"]]


def test_with_two_lanes_a_second_batch_is_prepared_while_the_first_runs_and_answers_find_their_callers() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        second = asyncio.create_task(batcher.classify(["second"]))
        await until(lambda: len(classifier.calls) == 2)
        waiting = [asyncio.create_task(batcher.classify([name])) for name in ("third", "fourth!")]
        await until(lambda: batcher.queued == 2)
        classifier.gate.set()
        answers = await asyncio.gather(first, second, *waiting)
        assert [answer[0].probability for answer in answers] == [5.0, 6.0, 5.0, 7.0]

    run(classifier, body, limit=Fixed(2))
    assert classifier.calls == [["opens"], ["second"], ["third", "fourth!"]]


def test_the_queue_is_bounded_and_a_request_larger_than_it_still_gets_through() -> None:
    classifier = Lengths()
    classifier.gate.clear()
    largest = 0

    async def body(batcher: MicroBatcher) -> None:
        nonlocal largest
        tasks = [asyncio.create_task(batcher.classify(["s"] * n)) for n in (1, 2, 2, 2, 9, 2)]
        for _ in range(200):
            await asyncio.sleep(0.001)
            largest = max(largest, batcher.queued)
            if _ == 50:
                classifier.gate.set()
        assert [len(answer) for answer in await asyncio.gather(*tasks)] == [1, 2, 2, 2, 9, 2]

    run(classifier, body, waiting=4)
    assert largest in (4, 9)


def test_a_caller_that_has_gone_costs_no_inference() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        gone = asyncio.create_task(batcher.classify(["gone"]))
        await until(lambda: batcher.queued == 1)
        gone.cancel()
        await asyncio.sleep(0)
        classifier.gate.set()
        await first
        await batcher.classify(["last"])

    run(classifier, body)
    assert ["gone"] not in classifier.calls


def test_closing_refuses_new_requests_and_fails_waiting_ones() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def main() -> None:
        batcher = MicroBatcher(classifier, limit=Fixed(1))

        running = await occupied(classifier, batcher)
        waiting = asyncio.create_task(batcher.classify(["waiting"]))
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.01)
        classifier.gate.set()
        await closing
        assert len(await running) == 1
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await batcher.classify(["late"])

    asyncio.run(main())


def test_no_sentences_need_no_classifier() -> None:
    async def body(batcher: MicroBatcher) -> None:
        assert await batcher.classify([]) == []

    classifier = Lengths()
    run(classifier, body)
    assert classifier.calls == []
