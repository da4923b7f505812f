from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detect.time import Timing
from streams.events import END_OF_TIME

times = st.integers(-(10**13), END_OF_TIME)
timings = st.builds(Timing, st.integers(1, 10**10), st.integers(0, 10**10))


@given(times, timings)
def test_a_time_lies_in_exactly_one_bucket(time: int, timing: Timing) -> None:
    b = timing.bucket(time)
    covering = [x for x in (b - 1, b, b + 1) if x * timing.width <= time < (x + 1) * timing.width]
    assert covering == [b]


@given(times, times, timings)
def test_a_later_time_never_lowers_the_floor(one: int, other: int, timing: Timing) -> None:
    assert timing.floor(min(one, other)) <= timing.floor(max(one, other))


@given(times, times, timings)
def test_a_message_is_late_iff_its_own_bucket_is_below_the_floor_and_counts_there(
    time: int, seen: int, timing: Timing
) -> None:
    latest = max(time, seen)
    bucket, late = timing.place(time, latest)
    assert late == (timing.bucket(time) < timing.floor(latest))
    assert bucket == max(timing.bucket(time), timing.floor(latest))


@given(times, timings)
def test_the_newest_message_of_a_partition_is_never_late(time: int, timing: Timing) -> None:
    assert timing.place(time, time) == (timing.bucket(time), False)


@pytest.mark.parametrize(
    ("latest", "floor"),
    # width 10, disorder 3: a partition has passed bucket b once it has seen (b + 1) * 10 + 3
    [(2, -1), (3, 0), (12, 0), (13, 1), (22, 1), (23, 2)],
)
def test_disorder_delays_the_floor(latest: int, floor: int) -> None:
    assert Timing(10, 3).floor(latest) == floor


@pytest.mark.parametrize(("width", "disorder"), [(0, 0), (-1, 0), (1, -1)])
def test_impossible_timings_are_refused(width: int, disorder: int) -> None:
    with pytest.raises(ValueError, match="width must be"):
        Timing(width, disorder)
