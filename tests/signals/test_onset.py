"""Time to onset: the Weibull fit against scipy's, and the three patterns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import weibull_min

from streams.signals.onset import weibull


def test_with_a_narrow_interval_the_fit_is_scipy_s() -> None:
    days = weibull_min.rvs(1.5, scale=12, size=200, random_state=20261122)
    shape, _, scale = weibull_min.fit(days, floc=0)
    found = weibull(days, width=1e-6)
    assert found is not None
    assert found.shape.estimate == pytest.approx(shape, rel=1e-3)
    assert found.scale.estimate == pytest.approx(scale, rel=1e-3)


@pytest.mark.parametrize(("shape", "pattern"), [(0.6, "early"), (1.0, "constant"), (1.8, "late")])
def test_whole_days_give_the_shape_they_were_drawn_with(shape: float, pattern: str) -> None:
    days = np.floor(weibull_min.rvs(shape, scale=8, size=600, random_state=7))
    found = weibull(days)
    assert found is not None
    assert found.pattern == pattern
    assert found.shape.lower is not None
    assert found.shape.upper is not None
    assert found.shape.lower < shape < found.shape.upper
    assert found.cases == 600


def test_the_interval_covers_the_shape_in_ninety_five_of_a_hundred_samples() -> None:
    covered = 0
    for seed in range(200):
        found = weibull(np.floor(weibull_min.rvs(0.8, scale=15, size=60, random_state=seed)))
        assert found is not None
        assert found.shape.lower is not None
        assert found.shape.upper is not None
        covered += found.shape.lower <= 0.8 <= found.shape.upper
    assert 180 <= covered <= 199


@given(st.lists(st.integers(0, 400), min_size=2, max_size=40), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_no_shape_nearby_is_likelier(days: list[int], random: object) -> None:
    """Straight from the definition: the product of S(t) - S(t+1); and the order of cases does not matter."""
    found = weibull(days)
    if found is None:
        return

    def log_likelihood(shape: float, scale: float) -> float:
        start, end = ((np.array(days) + x) / scale for x in (0, 1))
        return float(np.log(np.maximum(np.exp(-(start**shape)) - np.exp(-(end**shape)), 1e-300)).sum())

    shape, scale = found.shape.estimate, found.scale.estimate
    assert shape is not None
    assert scale is not None
    best = log_likelihood(shape, scale)
    for factor in (0.97, 1.03):
        assert log_likelihood(shape * factor, scale) <= best + 1e-6
        assert log_likelihood(shape, scale * factor) <= best + 1e-6
    shuffled = list(days)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert weibull(shuffled) == found


def test_what_has_no_shape_is_none_and_impossible_days_are_refused() -> None:
    assert weibull([]) is None
    assert weibull([3, 3, 3]) is None
    for days, width in (([1, -1], 1.0), ([1, math.nan], 1.0), ([1, 2], 0.0)):
        with pytest.raises(ValueError, match="days must be"):
            weibull(days, width=width)
