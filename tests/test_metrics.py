"""Figures of a running worker."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from streams.metrics import GROWTH, LEAST, Histogram


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_the_exact_one_or_at_most_five_percent_more(values: list[float], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]
    assert min(exact, max(values)) <= histogram.quantile(share) * (1 + 1e-9)
    assert histogram.quantile(share) <= max(exact * GROWTH, LEAST) * (1 + 1e-9)
    assert histogram.mean == math.fsum(values) / len(values) or math.isclose(
        histogram.mean, math.fsum(values) / len(values), rel_tol=1e-9
    )


def test_nothing_has_no_figures_but_zero() -> None:
    assert (Histogram().mean, Histogram().quantile(0.99), Histogram().count) == (0.0, 0.0, 0)


def test_memory_does_not_grow_with_what_it_is_told() -> None:
    histogram = Histogram()
    for n in range(100_000):
        histogram.add(n % 977 / 100)
    assert histogram.count == 100_000
    assert len(histogram._counts) < 400
