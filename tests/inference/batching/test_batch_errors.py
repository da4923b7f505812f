"""A failing classifier: one bad request harms no other, and nothing that can be read is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching import Fixed, MicroBatcher, estimated_pieces
from inference.classifier import Reading
from streams.errors import ClassifierError, DeadlineExceeded, Overloaded, PoisonInput, Unavailable, WrongModel
from tests.inference.batching.lab import Lengths, occupied, run, until


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


@pytest.mark.parametrize("error", [Overloaded("no room"), Unavailable("away"), DeadlineExceeded("slow")])
def test_after_a_retriable_error_the_same_sentences_are_asked_again_and_no_caller_hears_of_it(error: Exception) -> None:
    classifier = Lengths()
    classifier.errors = [error, error, error]

    async def body(batcher: MicroBatcher) -> None:
        answers = await asyncio.gather(*(batcher.classify([s]) for s in ("a", "bb", "ccc")))
        assert [answer[0].probability for answer in answers] == [1.0, 2.0, 3.0]
        assert batcher.held is None

    run(classifier, body)
    asked = classifier.calls[0]
    assert sorted(asked) == ["a", "bb", "ccc"]
    assert classifier.calls[1][0] == asked[0]  # what was first stays first


def test_pauses_grow_while_nothing_gets_through_and_one_batch_at_a_time_looks_whether_something_does() -> None:
    classifier = Lengths()
    classifier.error = Unavailable("away")
    seen: list[type[ClassifierError] | None] = []

    async def body(batcher: MicroBatcher) -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        tasks = [asyncio.create_task(batcher.classify([f"{n}" * 40])) for n in range(8)]
        while len(times) < 5:
            await until(lambda: len(classifier.calls) > len(times))
            times.append(loop.time())
        assert batcher.in_flight <= 1
        # 50 ms, then 100, 200: the first three tries may all be of the four that left at once.
        assert times[4] - times[3] >= 0.05
        assert isinstance(batcher.held, Unavailable)
        classifier.error = None
        await asyncio.gather(*tasks)

    def held(error: ClassifierError | None) -> None:
        seen.append(None if error is None else type(error))

    run(classifier, body, limit=Fixed(4), pieces=estimated_pieces("n" * 40), on_held=held)
    assert seen == [Unavailable, None]


def test_a_batch_too_long_for_the_deadline_is_asked_in_halves_until_it_is_short_enough() -> None:
    sizes: list[int] = []

    class Slow(Lengths):
        def classify(self, sentences: Sequence[str]) -> list[Reading]:
            sizes.append(len(sentences))
            if len(sentences) > 2:
                raise DeadlineExceeded("five seconds")
            return super().classify(sentences)

    async def body(batcher: MicroBatcher) -> None:
        answers = await asyncio.gather(*(batcher.classify([f"{n}"]) for n in range(16)))
        assert len(answers) == 16

    run(Slow(), body, pieces=16 * estimated_pieces("0"))
    assert sizes[:4] == [16, 8, 4, 2]


def test_what_the_server_refuses_lowers_the_number_in_flight() -> None:
    class Noted(Fixed):
        refusals = 0

        def refused(self, started: float, ended: float) -> None:
            assert started <= ended
            self.refusals += 1

    classifier, limit = Lengths(), Noted(1)
    classifier.errors = [Overloaded("no room"), DeadlineExceeded("slow"), Unavailable("away")]

    async def body(batcher: MicroBatcher) -> None:
        await batcher.classify(["a"])

    run(classifier, body, limit=limit)
    assert limit.refusals == 2  # a server that is away says nothing of how much it can take


def test_a_closing_batcher_waits_for_no_server() -> None:
    classifier = Lengths()
    classifier.error = Unavailable("away")

    async def main() -> None:
        batcher = MicroBatcher(classifier)
        waiting = asyncio.create_task(batcher.classify(["a"]))
        await until(lambda: batcher.held)
        await asyncio.wait_for(batcher.close(), 5)
        with pytest.raises(Unavailable):
            await waiting

    asyncio.run(main())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["poison", "a", "bb", "ccc", "d" * 90]), min_size=1, max_size=4), max_size=12),
    st.lists(st.sampled_from([Overloaded, Unavailable, DeadlineExceeded]), max_size=3),
    st.integers(1, 3),
    st.integers(1, 60),
)
def test_whatever_fails_in_between_every_request_gets_its_readings_or_its_own_poison(
    requests: list[list[str]], errors: list[type[ClassifierError]], lanes: int, pieces: int
) -> None:
    classifier = Lengths()
    classifier.errors = [error("once") for error in errors]

    async def body(batcher: MicroBatcher) -> None:
        answers = await asyncio.gather(*(batcher.classify(r) for r in requests), return_exceptions=True)
        for request, answer in zip(requests, answers, strict=True):
            if "poison" in request:
                assert isinstance(answer, PoisonInput)
            else:
                assert not isinstance(answer, BaseException)
                assert [r.probability for r in answer] == [float(len(s)) for s in request]

    run(classifier, body, limit=Fixed(lanes), pieces=pieces)


def test_an_error_that_no_other_try_would_mend_reaches_every_caller_of_the_batch_and_is_not_searched_for() -> None:
    classifier = Lengths()
    classifier.error = WrongModel("another")

    async def body(batcher: MicroBatcher) -> None:
        answers = await asyncio.gather(*(batcher.classify([s]) for s in "abcd"), return_exceptions=True)
        assert all(isinstance(answer, WrongModel) for answer in answers)

    run(classifier, body)
    assert len(classifier.calls) == 1


def test_a_fault_of_ours_leaves_nobody_waiting() -> None:
    classifier = Lengths()
    classifier.error = ZeroDivisionError("a fault")

    async def body(batcher: MicroBatcher) -> None:
        with pytest.raises(ZeroDivisionError):
            await batcher.classify(["a"])
        classifier.error = None
        assert len(await batcher.classify(["a"])) == 1

    run(classifier, body)
