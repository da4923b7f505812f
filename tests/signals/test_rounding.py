"""Rounding of state: a law a line."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.signals.rounding import round_published, round_state

values = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300).filter(
    lambda x: x == 0 or abs(x) > 1e-290
)


def rounded(value: float) -> float:
    return float(round_state(np.array([value]))[0])


@given(values)
def test_rounding_twice_is_rounding_once(value: float) -> None:
    assert rounded(rounded(value)) == rounded(value)


@given(values)
def test_twelve_digits_are_kept(value: float) -> None:
    assert rounded(value) == pytest.approx(value, rel=2**-40, abs=0)


@given(values)
def test_the_last_bits_are_zero(value: float) -> None:
    bits = struct.unpack("<Q", struct.pack("<d", rounded(value)))[0]
    assert bits % 2**13 == 0


@given(values, values)
def test_rounding_keeps_order(first: float, second: float) -> None:
    if first <= second:
        assert rounded(first) <= rounded(second)


def test_exact_numbers_stay() -> None:
    kept = np.array([0.0, 1.0, -3.0, 0.5, 2.0**40 - 1, math.inf])
    assert (round_state(kept) == kept).all()


@given(values)
def test_published_numbers_are_read_back_as_printed(value: float) -> None:
    assert round_published(value) == float(f"{value:.12g}")
    assert round_published(round_published(value)) == round_published(value)


@pytest.mark.parametrize("value", [None, math.inf, -math.inf, math.nan])
def test_what_has_no_value_is_published_as_none(value: float | None) -> None:
    assert round_published(value) is None
