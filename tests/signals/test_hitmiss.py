"""Weights of the hit-miss model: computed by hand from Norén's formulas, and the laws that make them a score."""

from __future__ import annotations

from itertools import product
from math import isclose, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.signals.hitmiss import Errors, banded, discrete, ordered, terms, threshold

rates = st.floats(0.001, 0.4)
SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}


def test_two_equal_values_by_hand() -> None:
    """a = 0.1: c = 1 - 0.9^2 = 0.19. A value of a quarter of reports: (1 - 0.19 * 0.75) / 0.25 = 3.43."""
    assert discrete(Errors(0.1), 0.25) == pytest.approx(log2(3.43))
    assert discrete(Errors(0.1), None) == pytest.approx(log2(0.19))


def test_two_dates_by_hand() -> None:
    """Hit 0.8^2 = 0.64, miss 0.19, near the rest: 0.17. Same: 0.19 + 0.64/0.01 + 0.17/0.1 = 65.89."""
    errors = Errors(0.1, 0.1)
    assert ordered(errors, 0.01, (0.1, 0.1)) == pytest.approx(log2(65.89))
    assert ordered(errors, None, (0.1, 0.2)) == pytest.approx(log2(0.19 + 0.17 * 7.5))
    assert ordered(errors, None, None) == pytest.approx(log2(0.19))


def test_two_lists_by_hand() -> None:
    """Two shared terms and three that only one lists."""
    assert terms(Errors(0.1), [0.25, 0.25], 3) == pytest.approx(2 * log2(3.43) + 3 * log2(0.19))


def test_a_band_and_a_threshold_by_hand() -> None:
    assert banded(0.4, 0.0125) == 5
    assert threshold(20_000, 0.001) == pytest.approx(log2(2e7))
    assert threshold(0.0, 0.001) == 0  # nobody to be compared with


@given(rates)
def test_the_likelihood_ratio_of_unrelated_values_has_mean_one(miss: float) -> None:
    """What Markov's inequality, and so the threshold, rests on: recounted over all pairs of values."""
    errors = Errors(miss)
    mean = 0.0
    for x, y in product(SHARES, repeat=2):
        mean += SHARES[x] * SHARES[y] * 2 ** discrete(errors, SHARES[x] if x == y else None)
    assert isclose(mean, 1, rel_tol=1e-9)


@given(rates, rates, st.lists(st.integers(1, 50), min_size=2, max_size=12), st.integers(1, 4))
def test_so_has_that_of_unrelated_dates(miss: float, deviation: float, counts: list[int], tolerance: int) -> None:
    errors = Errors(miss, deviation)
    share = [count / sum(counts) for count in counts]
    days = range(len(share))
    around = [sum(share[max(0, day - tolerance) : day + tolerance + 1]) for day in days]
    mean = 0.0
    for x, y in product(days, repeat=2):
        near = (around[x], around[y]) if abs(x - y) <= tolerance else None
        mean += share[x] * share[y] * 2 ** ordered(errors, share[x] if x == y else None, near)
    assert isclose(mean, 1, rel_tol=1e-9)


@given(rates, st.floats(0.001, 0.5))
def test_a_rarer_value_weighs_more_and_a_miss_speaks_against(miss: float, share: float) -> None:
    errors = Errors(miss)
    assert discrete(errors, share / 2) > discrete(errors, share) > 0 > discrete(errors, None)
