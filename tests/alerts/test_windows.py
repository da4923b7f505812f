"""The trailing windows of an alert: whole buckets, nested, however wide a bucket is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.alerts.assembly import in_windows

DAY_MS = 86_400_000


@given(st.integers(0, 20_000), st.lists(st.integers(0, 729), max_size=60), st.sampled_from([1, 24]))
def test_a_case_is_in_a_window_iff_its_bucket_begins_within_that_many_days(
    day: int, ages: list[int], a_day: int
) -> None:
    last = day * a_day
    counts = in_windows(last, [last - age * a_day for age in ages], DAY_MS // a_day)
    days = {"day": 1, "week": 7, "month": 30, "half_year": 182, "reference": 730}
    assert counts == {name: sum(age < length for age in ages) for name, length in days.items()}


def test_a_bucket_wider_than_a_window_is_in_it_whole() -> None:
    assert in_windows(10, [10, 9], 7 * DAY_MS) == {"day": 1, "week": 1, "month": 2, "half_year": 2, "reference": 2}
