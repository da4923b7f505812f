"""Rates of windows: published limits, and a recount of the cases themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson as poisson_distribution

from streams.detect.contribution import Contribution
from streams.detect.totals import BucketTotals
from streams.rates.counts import Counts, poisson, rate_of, window_counts

# Exact 95% limits of a Poisson count, as in printed tables after Garwood (1936).
PUBLISHED = {0: (0.0, 3.689), 1: (0.0253, 5.572), 5: (1.623, 11.668), 10: (4.795, 18.390), 20: (12.217, 30.888)}


@pytest.mark.parametrize(("count", "limits"), PUBLISHED.items())
def test_intervals_are_the_published_ones(count: int, limits: tuple[float, float]) -> None:
    found = poisson(count, 1)
    assert (found.low, found.high) == pytest.approx(limits, abs=6e-4)
    assert poisson(count, 4).high == pytest.approx(found.high / 4)


@given(st.integers(1, 500))
def test_a_limit_is_where_the_count_would_be_a_tail_of_two_and_a_half_percent(count: int) -> None:
    found = poisson(count, 1)
    assert poisson_distribution.sf(count - 1, found.low) == pytest.approx(0.025, rel=1e-6)
    assert poisson_distribution.cdf(count, found.high) == pytest.approx(0.025, rel=1e-6)


cases = st.builds(
    lambda bucket, stratum, drugs, events: (
        bucket,
        Contribution(
            ("r", 0, 0), 0, "c", 1, stratum, tuple(sorted(drugs)), tuple(sorted(events)), (1_000_000,) * len(events)
        ),
    ),
    st.integers(0, 40), st.integers(0, 2), st.sets(st.sampled_from("xyz"), min_size=1), st.sets(st.sampled_from("ef")),
)  # fmt: skip


@given(st.lists(cases, max_size=40), st.integers(-1, 45))
def test_every_window_is_the_recount_of_its_cases(log: list[tuple[int, Contribution]], last: int) -> None:
    buckets = {bucket: BucketTotals.of(bucket, [c for b, c in log if b == bucket]) for bucket, _ in log}
    lengths = {"day": 1, "week": 7, "reference": 30}
    for name, first, counts in window_counts(buckets.values(), last, lengths, "x", "e"):
        inside = [c for b, c in log if last - lengths[name] < b <= last]
        assert first == last - lengths[name] + 1
        rate = rate_of(name, first, last, lengths[name], counts, "e")
        assert rate.pair is not None
        assert rate.reports == len(inside)
        assert rate.drug_cases == sum("x" in c.drugs for c in inside)
        assert rate.pair.event_cases == sum("e" in c.events for c in inside)
        assert rate.pair.cases == sum("x" in c.drugs and "e" in c.events for c in inside)
        expected = 0.0
        for stratum in range(3):
            own = [c for c in inside if c.stratum == stratum]
            n, m = sum("x" in c.drugs for c in own), sum("e" in c.events for c in own)
            expected += n * m / len(own) if own else 0
        assert rate.pair.expected == pytest.approx(expected)
        assert (rate.pair.relative is None) == (expected == 0)


def test_nothing_reported_is_a_rate_of_nothing_with_an_upper_limit() -> None:
    rate = rate_of("week", 1, 7, 7, Counts(), "e")
    assert (rate.reports, rate.share, rate.per_day.value) == (0, None, 0)
    assert rate.per_day.high == pytest.approx(3.689 / 7, abs=1e-3)
    assert rate.pair is not None
    assert rate.pair.relative is None
