"""The micro-batcher: nothing is lost, nothing changes place, one bad request harms no other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batcher import MicroBatcher, estimated_pieces
from inference.cache import SentenceCache
from inference.classifier import Classifier, Reading
from inference.first_stage import FirstStage, Header
from streams.errors import Overloaded, PoisonInput, Unavailable


class Lengths:
    """A classifier whose reading of a sentence is its length; "poison" fails, and every call is recorded."""

    model = "lengths@0"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        self.calls.append(list(sentences))
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        if "poison" in sentences:
            raise PoisonInput("a sentence fails")
        return [Reading(float(len(sentence))) for sentence in sentences]

    def close(self) -> None: ...


def run(classifier: Lengths, body: Callable[[MicroBatcher], Awaitable[None]], **limits: Any) -> None:
    async def main() -> None:
        async with MicroBatcher(classifier, **{"lanes": 1, **limits}) as batcher:
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

    run(Lengths(), body, pieces=pieces, waiting=waiting, lanes=lanes)


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

    run(classifier, body, lanes=2)
    assert classifier.calls == [["opens"], ["second"], ["third", "fourth!"]]


def test_a_batch_keeps_to_its_budget_counted_with_padding() -> None:
    classifier = Lengths()
    classifier.gate.clear()
    budget = 3 * estimated_pieces("x" * 40)

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        tasks = [asyncio.create_task(batcher.classify(["x" * 40])) for _ in range(7)]
        await until(lambda: batcher.queued == 7)
        classifier.gate.set()
        await asyncio.gather(first, *tasks)

    run(classifier, body, pieces=budget)
    assert [len(call) for call in classifier.calls] == [1, 3, 3, 1]


@pytest.mark.parametrize("place", [0, 3, 6])
def test_one_poisoned_request_fails_alone(place: int) -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        requests = [[f"sentence {i}", "poison" if i == place else "good"] for i in range(7)]
        first = await occupied(classifier, batcher)
        tasks = [asyncio.create_task(batcher.classify(request)) for request in requests]
        await until(lambda: batcher.queued == 14)
        classifier.gate.set()
        answers = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert [isinstance(a, PoisonInput) for a in answers] == [False] + [i == place for i in range(7)]

    run(classifier, body)


def test_a_retriable_error_reaches_every_request_of_the_batch_and_splits_nothing() -> None:
    classifier = Lengths()
    classifier.error = Overloaded("no room")

    async def body(batcher: MicroBatcher) -> None:
        answers = await asyncio.gather(*(batcher.classify([s]) for s in "ab"), return_exceptions=True)
        assert all(isinstance(answer, Overloaded) for answer in answers)

    run(classifier, body)
    assert len(classifier.calls) <= 2


def test_a_fault_of_ours_leaves_nobody_waiting() -> None:
    classifier = Lengths()
    classifier.error = ZeroDivisionError("a fault")

    async def body(batcher: MicroBatcher) -> None:
        with pytest.raises(ZeroDivisionError):
            await batcher.classify(["a"])
        classifier.error = None
        assert len(await batcher.classify(["a"])) == 1

    run(classifier, body)


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
        batcher = MicroBatcher(classifier, lanes=1)
        batcher.start()
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


# ---------------------------------------------------------------- batches by length


def asked_while_busy(sentences: Sequence[str], **limits: Any) -> list[list[str]]:
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

    run(classifier, body, **limits)
    return classifier.calls[1:]


def test_a_batch_holds_sentences_of_about_one_length_and_begins_with_the_oldest() -> None:
    short, long = [f"{n:02}" + "s" * 20 for n in range(8)], [f"{n:02}" + "l" * 200 for n in range(8)]
    mixed = [sentence for pair in zip(short, long, strict=True) for sentence in pair]
    budget = 4 * estimated_pieces(long[0])
    calls = asked_while_busy(mixed, pieces=budget)
    # Eight times 8 pieces leave room for two of 56.
    assert calls == [short + long[:2], long[2:6], long[6:]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.integers(8, 400))
def test_every_batch_takes_the_oldest_and_of_one_length_the_older_first(lengths: list[int], budget: int) -> None:
    sentences = [f"{n:03}" + "x" * length for n, length in enumerate(lengths)]
    waiting = list(sentences)
    for call in asked_while_busy(sentences, pieces=budget):
        assert waiting[0] in call  # so nobody waits for more batches than sentences were before him
        for sentence in call:
            alike = [s for s in waiting if estimated_pieces(s) == estimated_pieces(sentence)]
            assert alike[0] == sentence
            waiting.remove(sentence)
        assert len(call) == 1 or sum(map(estimated_pieces, call)) <= budget
    assert waiting == []


def test_a_stream_of_short_sentences_does_not_keep_a_long_one_waiting() -> None:
    sentences = [f"{n:03} short" for n in range(30)]
    sentences.insert(3, "003 long " + "x" * 500)
    calls = asked_while_busy(sentences, pieces=4 * estimated_pieces(sentences[0]))
    assert next(n for n, call in enumerate(calls) if sentences[3] in call) == 1


def test_what_waits_together_within_the_budget_is_read_together_whatever_its_length() -> None:
    assert len(asked_while_busy(["a", "b" * 300, "c" * 90], pieces=2048)) == 1


# ---------------------------------------------------------------- what need not be computed


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
    classifier.error = Overloaded("no room")

    async def body(batcher: MicroBatcher) -> None:
        with pytest.raises(Overloaded):
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
    nothing = FirstStage(Header(1, 4, 1, 0.01, {}), bytes(16))  # every score is 0
    classifier = Lengths()

    async def body(batcher: MicroBatcher) -> None:
        assert await batcher.classify(["a", "b"]) == [Reading(0.01), Reading(0.01)]
        assert (batcher.spared, batcher.sentences) == (2, 0)

    run(classifier, body, first_stage=nothing)
    assert classifier.calls == []


def test_spared_remembered_and_read_sentences_come_back_in_their_places() -> None:
    weights = bytearray(1 << 10)
    stage = FirstStage(Header(1, 10, -1, 0.01, {}), bytes(weights))
    classifier, cache = Lengths(), SentenceCache(10)
    cache.put("cached", Reading(0.77))

    async def body(batcher: MicroBatcher) -> None:
        answer = await batcher.classify(["read it", "cached", "read"])
        assert [r.probability for r in answer] == [7.0, 0.77, 4.0]

    run(classifier, body, cache=cache, first_stage=stage)
    assert classifier.calls == [["read it", "read"]]
