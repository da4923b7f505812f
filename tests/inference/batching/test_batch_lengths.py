"""Which sentences share a batch: about one length, the oldest first, nobody passed over."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching import MicroBatcher, estimated_pieces
from tests.inference.batching.lab import Lengths, asked_while_busy, occupied, run, until


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
