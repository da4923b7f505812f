"""When a batch leaves, what its figures say, and that a flood on one topic holds up no other."""

from __future__ import annotations

import asyncio

import pytest

from inference.batching import Fixed, MicroBatcher, estimated_pieces
from inference.padding import Padding
from tests.inference.batching.lab import Lengths, occupied, run, until

FOREVER = 60.0


def test_an_idle_classifier_starts_at_once_however_long_batches_may_linger() -> None:
    async def body(batcher: MicroBatcher) -> None:
        async with asyncio.timeout(5):
            await batcher.classify(["a"])

    run(Lengths(), body, linger=FOREVER)


def test_beside_a_running_batch_the_next_leaves_only_when_it_is_full() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        tasks = [await occupied(classifier, batcher)]
        for n in range(3):
            tasks.append(asyncio.create_task(batcher.classify([f"{n}"])))
            await asyncio.sleep(0.01)
            assert (batcher.in_flight, batcher.queued) == (1, n + 1)
        tasks.append(asyncio.create_task(batcher.classify(["3"])))
        await until(lambda: batcher.in_flight == 2)
        classifier.gate.set()
        await asyncio.gather(*tasks)

    run(classifier, body, limit=Fixed(2), linger=FOREVER, pieces=4 * estimated_pieces("0"))
    assert classifier.calls == [["opens"], ["0", "1", "2", "3"]]


def test_or_when_its_oldest_sentence_has_waited_long_enough() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        begun = asyncio.get_running_loop().time()
        second = asyncio.create_task(batcher.classify(["waits"]))
        await until(lambda: batcher.in_flight == 2)
        assert asyncio.get_running_loop().time() - begun >= 0.1
        classifier.gate.set()
        await asyncio.gather(first, second)

    run(classifier, body, limit=Fixed(2), linger=0.1)


def test_a_flood_on_one_topic_delays_a_sentence_of_another_by_the_batch_that_runs_and_one_more() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        flood = [asyncio.create_task(batcher.classify([f"flood {n:03}"] * 5, "flood")) for n in range(100)]
        await until(lambda: classifier.calls)
        other = asyncio.create_task(batcher.classify(["the other"], "other"))
        await asyncio.sleep(0.01)
        classifier.gate.set()
        await asyncio.gather(other, *flood)

    run(classifier, body, pieces=64, waiting=50)
    assert next(n for n, call in enumerate(classifier.calls) if "the other" in call) <= 2


def test_one_topic_never_has_more_in_the_queue_than_its_share_and_requests_enter_in_order() -> None:
    classifier = Lengths()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        flood = [asyncio.create_task(batcher.classify([f"{n:03}"] * 3, "flood")) for n in range(50)]
        await asyncio.sleep(0.01)
        assert batcher.queued == 9
        other = asyncio.create_task(batcher.classify(["o"] * 4, "other"))
        await asyncio.sleep(0.01)
        assert batcher.queued == 13
        classifier.gate.set()
        await asyncio.gather(first, other, *flood)

    run(classifier, body, waiting=10)
    order = [sentence for call in classifier.calls for sentence in call if sentence.isdigit()]
    assert order == sorted(order)


class Counted(Lengths):
    """A third of what it is given is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.padding = Padding()

    def classify(self, sentences):  # type: ignore[no-untyped-def]
        self.padding.add(2 * len(sentences), 3 * len(sentences))
        return super().classify(sentences)


def test_a_status_line_says_how_full_batches_were_what_was_padding_and_how_long_sentences_waited() -> None:
    classifier = Counted()
    classifier.gate.clear()

    async def body(batcher: MicroBatcher) -> None:
        first = await occupied(classifier, batcher)
        tasks = [asyncio.create_task(batcher.classify(["x" * 20])) for _ in range(3)]
        await until(lambda: batcher.queued == 3)
        await asyncio.sleep(0.05)
        classifier.gate.set()
        await asyncio.gather(first, *tasks)
        shown = batcher.shown()
        fills = [estimated_pieces("opens"), 3 * estimated_pieces("x" * 20)]
        assert shown["batches"] == 2
        assert shown["batch_fill"] == pytest.approx(sum(fills) / 2 / 100, abs=0.001)
        assert shown["padding_waste"] == pytest.approx(1 / 3, abs=0.001)
        assert float(str(shown["queue_ms_p99"])) >= 50
        assert (shown["in_flight"], shown["in_flight_limit"], shown["queued"], shown["held"]) == (0, 1, 0, None)
        assert batcher.shown()["batches"] == 0  # since the line before

    run(classifier, body, pieces=100)


def test_a_classifier_that_counts_no_padding_has_none_to_show() -> None:
    async def body(batcher: MicroBatcher) -> None:
        await batcher.classify(["a"])
        assert batcher.shown()["padding_waste"] is None

    run(Lengths(), body)
