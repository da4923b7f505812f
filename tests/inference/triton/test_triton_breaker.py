"""The breaker, on a clock that only the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference.triton.breaker import Breaker, State

FAILURES, FIRST, LONGEST = 3, 0.5, 4.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, spread: float = 0.0) -> Breaker:
    return Breaker(clock, lambda: spread, FAILURES, FIRST, LONGEST)


def closed(clock: Clock, spread: float = 0.0) -> Breaker:
    made = breaker(clock, spread)
    assert made.probe()
    made.probed(True)
    return made


def test_nothing_is_asked_of_a_new_server_before_a_probe_and_that_may_be_at_once() -> None:
    made = breaker(Clock())
    assert not made.closed
    assert made.pause() == 0
    assert made.probe()


def test_it_opens_after_so_many_failures_in_a_row_and_not_earlier() -> None:
    made = closed(Clock())
    for _ in range(FAILURES - 1):
        made.failure()
    made.success()
    for _ in range(FAILURES - 1):
        made.failure()
        assert made.closed
    made.failure()
    assert made.state is State.OPEN


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.999])
def test_pauses_double_up_to_the_longest_and_spread_takes_at_most_half(spread: float) -> None:
    clock = Clock()
    made = closed(clock, spread)
    made.trip()
    for expected in (0.5, 1.0, 2.0, 4.0, 4.0):
        assert made.pause() == pytest.approx(expected * (1 - spread / 2))
        assert not made.probe()
        clock.now += made.pause()
        assert made.probe()
        made.probed(False)
    clock.now += LONGEST
    made.probe()
    made.probed(True)
    made.trip()
    assert made.pause() == pytest.approx(FIRST * (1 - spread / 2)), "after it was well the pause is short again"


def test_a_probe_that_nobody_began_cannot_end() -> None:
    with pytest.raises(ValueError, match="no probe"):
        closed(Clock()).probed(True)


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, in whatever order: only a probe closes it, one at a time, and never too early."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.spread = 0.0
        self.breaker = Breaker(self.clock, lambda: self.spread, FAILURES, FIRST, LONGEST)
        self.in_a_row = 0
        self.state = State.OPEN  # of the model: a few lines that say the same in other words
        self.earliest = self.clock.now

    @rule(seconds=st.floats(0, 5), spread=st.floats(0, 0.999))
    def time_passes(self, seconds: float, spread: float) -> None:
        self.clock.now += seconds
        self.spread = spread

    @rule()
    def a_call_is_answered(self) -> None:
        self.breaker.success()
        self.in_a_row = 0

    @rule()
    def a_call_fails(self) -> None:
        self.breaker.failure()
        if self.state is State.CLOSED:
            self.in_a_row += 1
            if self.in_a_row == FAILURES:
                self.opens()

    @rule()
    def it_is_tripped(self) -> None:
        self.breaker.trip()
        if self.state is State.CLOSED:
            self.opens()

    @rule()
    def somebody_wants_to_probe(self) -> None:
        began = self.breaker.probe()
        if began:
            assert self.state is State.OPEN
            assert self.clock.now >= self.earliest
            self.state = State.PROBING

    @precondition(lambda self: self.state is State.PROBING)
    @rule(well=st.booleans())
    def the_probe_ends(self, well: bool) -> None:
        self.breaker.probed(well)
        if well:
            self.state, self.in_a_row = State.CLOSED, 0
        else:
            self.opens()

    def opens(self) -> None:
        self.state = State.OPEN
        self.earliest = self.clock.now + FIRST / 2

    @invariant()
    def both_agree(self) -> None:
        assert self.breaker.state is self.state
        assert 0 <= self.breaker.pause() <= LONGEST


TestAnyHistory = AnyHistory.TestCase


@given(st.floats(0, 0.999))
def test_an_open_breaker_can_be_probed_within_its_longest_pause(spread: float) -> None:
    clock = Clock()
    made = closed(clock, spread)
    made.trip()
    for _ in range(10):
        clock.now += LONGEST
        assert made.probe()
        made.probed(False)
