from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detect.progress import Placed, SourceState, Step, advance
from streams.detect.time import Timing
from streams.errors import StateConflict
from streams.events import MICRO, Assessment, AssessmentRecord, DeadLetter, Gap, Tick

TIMING = Timing(width=10, disorder=3)
FRESH = {("r", 0): SourceState(), ("r", 1): SourceState()}


def report(lo: int, offset: int, time: int = 0, partition: int = 0) -> Assessment:
    return Assessment("r", partition, lo, offset, time, f"case {offset}", 1, 0, ["d"], ["e"], [MICRO])


def positions(step: Step) -> list[int]:
    return [placed.contribution.position[2] for placed in step.placed]


def test_records_that_join_up_are_applied() -> None:
    step = advance(
        FRESH, [report(0, 0), DeadLetter("r", 0, 1, 1, "unreadable"), report(2, 5), Gap("r", 0, 6, 8)], TIMING
    )
    assert positions(step) == [0, 5]
    assert step.sources == {("r", 0): SourceState(9, 0, -1)}
    assert step.outcomes == {"dead_letter:unreadable": 1, "gap": 1, "gap_offsets": 3}


def test_what_was_applied_is_a_repetition_and_what_does_not_join_up_is_beyond() -> None:
    step = advance({("r", 0): SourceState(4, 50, 4)}, [report(0, 3), report(5, 5), report(3, 4), report(5, 5)], TIMING)
    assert positions(step) == [4, 5]
    assert step.outcomes == {"repeated": 1, "beyond": 1}
    assert step.before == {("r", 0): SourceState(4, 50, 4)}


def test_a_gap_that_was_partly_read_counts_what_was_not() -> None:
    step = advance({("r", 0): SourceState(4)}, [Gap("r", 0, 0, 9)], TIMING)
    assert step.outcomes == {"gap": 1, "gap_offsets": 6}


def test_a_tick_moves_time_only_at_its_own_position() -> None:
    held = advance({("r", 0): SourceState(4, 20, 1)}, [Tick("r", 0, 4, 70), report(4, 4, 65), report(5, 5, 20)], TIMING)
    assert [(p.bucket, p.contribution.late) for p in held.placed] == [(6, False), (6, True)]
    void = advance({("r", 0): SourceState(4, 20, 1)}, [Tick("r", 0, 3, 70), report(4, 4, 20)], TIMING)
    assert [(p.bucket, p.contribution.late) for p in void.placed] == [(2, False)]
    assert (held.outcomes, void.outcomes) == ({"tick": 1}, {"tick_void": 1})


def test_partitions_keep_their_own_time() -> None:
    step = advance(FRESH, [report(0, 0, 100), report(0, 0, 5, partition=1)], TIMING)
    assert [(p.bucket, p.contribution.late) for p in step.placed] == [(10, False), (0, False)]


def test_a_partition_outside_the_roster_is_a_conflict() -> None:
    with pytest.raises(StateConflict, match=r"r\[7\]"):
        advance(FRESH, [report(0, 0, partition=7)], TIMING)


@st.composite
def logs(draw: st.DrawFn) -> list[AssessmentRecord]:
    """Anything that could be in an assessments partition: overlaps, holes, ticks at any position."""
    records: list[AssessmentRecord] = []
    for _ in range(draw(st.integers(0, 12))):
        partition, lo, length = draw(st.integers(0, 1)), draw(st.integers(0, 8)), draw(st.integers(0, 2))
        time = draw(st.integers(0, 60))
        kind = draw(st.sampled_from("mmmdgt"))
        if kind == "m":
            records.append(report(lo, lo + length, time, partition))
        elif kind == "d":
            records.append(DeadLetter("r", partition, lo, lo + length, "x"))
        elif kind == "g":
            records.append(Gap("r", partition, lo, lo + length))
        else:
            records.append(Tick("r", partition, lo, time))
    return records


@given(logs(), st.data())
def test_a_log_means_the_same_however_it_is_cut_into_batches(log: list[AssessmentRecord], data: st.DataObject) -> None:
    whole = advance(FRESH, log, TIMING)
    state, placed, outcomes = dict(FRESH), list[Placed](), Counter[str]()
    while log:
        n = data.draw(st.integers(1, len(log)))
        step = advance(state, log[:n], TIMING)
        log = log[n:]
        state.update(step.sources)
        placed += step.placed
        outcomes += step.outcomes
    assert (state, placed, outcomes) == ({**FRESH, **whole.sources}, whole.placed, whole.outcomes)


@given(logs())
def test_neither_position_nor_watermark_ever_falls_and_every_record_has_one_outcome(
    log: list[AssessmentRecord],
) -> None:
    state = dict(FRESH)
    for record in log:
        step = advance(state, [record], TIMING)
        outcomes = step.outcomes - Counter(gap_offsets=10**6)
        assert len(step.placed) + outcomes.total() == 1
        for source, new in step.sources.items():
            old = state[source]
            assert new.next >= old.next
            assert old.latest is None or (new.latest is not None and new.latest >= old.latest)
            assert new.floor == (None if new.latest is None else TIMING.floor(new.latest))
            assert all(placed.bucket >= (new.floor or placed.bucket) for placed in step.placed)
        state.update(step.sources)
