"""Turns of topics: a flood on one starves no other, and nobody is passed over for ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching.fair import FairQueue, estimated_pieces
from inference.batching.request import Request, Waiting

BUDGET = 64
Sent = tuple[str, int]  # topic, characters

sent = st.tuples(st.sampled_from("abc"), st.integers(0, 150))


class Caller:
    """Who waits for a sentence."""

    wanted = True


def filled(sentences: Iterable[Sent]) -> tuple[FairQueue, list[Waiting]]:
    """A queue of sentences that somebody waits for, in this order."""
    queue, entered = FairQueue(limit=100_000), []
    for number, (topic, characters) in enumerate(sentences):
        text = "x" * characters
        waiting = Waiting(text, topic, estimated_pieces(text), number, float(number))
        waiting.places.append((cast(Request, Caller()), 0))
        entered.append(waiting)
        queue.add(waiting)
    return queue, entered


def batches(queue: FairQueue, budget: int = BUDGET) -> list[list[Waiting]]:
    """All batches until nothing waits."""
    found = []
    while queue.queued:
        batch, dropped = queue.take(budget)
        assert not dropped
        found.append(batch)
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(sent, max_size=60), st.integers(1, 200))
def test_every_sentence_leaves_once_and_no_batch_outgrows_the_budget_unless_it_is_one_sentence(
    sentences: list[Sent], budget: int
) -> None:
    queue, entered = filled(sentences)
    taken = batches(queue, budget)
    assert sorted(w.number for batch in taken for w in batch) == [w.number for w in entered]
    assert all(len(batch) == 1 or sum(w.pieces for w in batch) <= budget for batch in taken)
    assert (queue.queued, queue.pieces) == (0, 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(sent, min_size=1, max_size=60))
def test_of_one_topic_and_length_the_older_leaves_first(sentences: list[Sent]) -> None:
    queue, entered = filled(sentences)
    order = [w for batch in batches(queue) for w in batch]
    for place in {(w.topic, w.pieces) for w in entered}:
        numbers = [w.number for w in order if (w.topic, w.pieces) == place]
        assert numbers == sorted(numbers)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 300), st.lists(st.integers(0, 120), min_size=1, max_size=10), st.integers(0, 120))
def test_a_flood_on_one_topic_delays_another_by_one_batch_for_each_of_its_own(
    flood: int, trickle: list[int], characters: int
) -> None:
    queue, _ = filled([("flood", characters)] * flood + [("trickle", n) for n in trickle])
    taken = batches(queue)
    last = max(n for n, batch in enumerate(taken) if any(w.topic == "trickle" for w in batch))
    # Its turns alone would need `needed` batches; every other one is its turn, and one long sentence passes some.
    needed = sum(-(-estimated_pieces("x" * n) // BUDGET) for n in trickle)
    assert last < 2 * (needed + 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 600), min_size=2, max_size=4), st.integers(3, 12))
def test_topics_with_a_backlog_share_the_pieces_evenly_however_long_their_sentences(
    characters: list[int], turns: int
) -> None:
    topics = {f"topic {n}": size for n, size in enumerate(characters)}
    queue, _ = filled([(topic, size) for _ in range(800) for topic, size in topics.items()])
    pieces = dict.fromkeys(topics, 0)
    for _ in range(turns * len(topics)):
        for waiting in queue.take(BUDGET)[0]:
            pieces[waiting.topic] += waiting.pieces
    for topic, size in topics.items():
        own = estimated_pieces("x" * size)
        if own <= BUDGET:
            assert pieces[topic] >= (turns - 1) * (BUDGET // own) * own  # what fits into each of its turns
        else:
            assert pieces[topic] >= (turns - 2) * BUDGET


def test_what_the_topic_in_turn_leaves_of_a_batch_others_fill_for_nothing() -> None:
    queue, _ = filled([("few", 20), *[("many", 20)] * 40])
    first, _ = queue.take(BUDGET)
    assert [w.topic for w in first] == ["few"] + ["many"] * (BUDGET // estimated_pieces("x" * 20) - 1)


def test_a_topic_that_took_a_sentence_larger_than_the_budget_passes_the_turns_that_was_worth() -> None:
    huge = 4 * BUDGET * 3  # characters: some three budgets
    queue, _ = filled([("huge", huge), ("huge", huge), *[("small", 4 * BUDGET)] * 10])
    order = [batch[0].topic for batch in batches(queue)]
    assert order[:5] == ["huge", "small", "small", "small", "huge"]


@settings(max_examples=150, deadline=None)
@given(st.lists(sent, min_size=1, max_size=40), st.data())
def test_a_batch_that_is_put_back_leaves_as_if_it_had_never_been_taken(
    sentences: list[Sent], data: st.DataObject
) -> None:
    queue, entered = filled(sentences)
    taken = [queue.take(BUDGET)[0] for _ in range(min(3, len(sentences))) if queue.queued]
    for batch in data.draw(st.permutations(taken)):
        queue.put_back(batch)
    assert queue.queued == len(entered)
    for line in queue._lines.values():  # `oldest` rests on this order
        for waiting in line.lengths.values():
            assert [w.number for w in waiting] == sorted(w.number for w in waiting)


def test_sentences_nobody_waits_for_any_more_are_dropped_and_make_no_batch() -> None:
    queue, entered = filled([("a", 10), ("b", 10), ("a", 10)])
    for waiting in entered[:2]:
        waiting.places.clear()
    assert queue.take(BUDGET) == ([entered[2]], entered[:2])
    assert queue.queued == 0
