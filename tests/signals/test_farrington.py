"""Farrington's bound: a count that stands out of its own past."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.signals.farrington import upper_bound

pasts = st.lists(st.integers(0, 200), min_size=2, max_size=20).filter(any)


def test_a_past_of_poisson_counts_gives_the_bound_of_the_formula_done_by_hand() -> None:
    """mu = 5, phi = 1, Var(mu) = 25/20: 5 (1 + 2/3 1.96 sqrt(5 + 1.25) / 5)^1.5 = 5 * 1.65333^1.5."""
    bound = upper_bound(counts=[4, 6, 5, 5], totals=[100] * 4, total=100, z=1.96)
    assert bound is not None
    assert bound == pytest.approx((5.0, 5 * (1 + 0.98 * 2 / 3) ** 1.5, 1.0))


@given(pasts, st.floats(0.5, 5))
def test_the_bound_lies_above_the_mean_and_grows_with_the_quantile(counts: list[int], z: float) -> None:
    low, high = (upper_bound(counts=counts, totals=[500] * len(counts), total=500, z=x) for x in (z, z + 1))
    assert low is not None
    assert high is not None
    assert low.expected == pytest.approx(sum(counts) / len(counts))
    assert low.expected < low.upper < high.upper


@given(pasts)
def test_a_scattered_past_widens_the_bound(counts: list[int]) -> None:
    level = [sum(counts)] + [sum(counts)] * (len(counts) - 1)
    scattered = [sum(counts) * len(counts)] + [0] * (len(counts) - 1)
    bounds = [upper_bound(counts=c, totals=[10_000] * len(c), total=10_000, z=3) for c in (level, scattered)]
    assert bounds[0] is not None
    assert bounds[1] is not None
    assert math.isclose(bounds[0].expected, bounds[1].expected)
    assert bounds[1].upper > bounds[0].upper


@given(pasts, st.integers(1, 9))
def test_what_grows_with_everything_else_is_expected_to(counts: list[int], times: int) -> None:
    bound = upper_bound(counts=counts, totals=[500] * len(counts), total=500 * times, z=3)
    assert bound is not None
    assert bound.expected == pytest.approx(times * sum(counts) / len(counts))


@pytest.mark.parametrize(("counts", "totals"), [([], []), ([3], [10]), ([0, 0], [10, 10]), ([3, 0], [10, 0])])
def test_without_a_past_there_is_no_bound(counts: list[int], totals: list[int]) -> None:
    assert upper_bound(counts=counts, totals=totals, total=10, z=3) is None
