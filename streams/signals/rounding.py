"""Rounding of floating state and of published floats, so that a last bit never decides anything.

State is rounded in binary: the mantissa to 40 bits, which is a relative step of 2^-40 = 9e-13, twelve significant
digits. That is exact arithmetic (scale, round half to even, scale back), vectorised, and gives the same bits wherever
IEEE 754 holds. Published numbers are rounded in decimal, for people read those.
See docs/decisions/signals.md.
"""

from __future__ import annotations

import math
from typing import overload

import numpy as np
from numpy.typing import NDArray

STATE_BITS = 40
SIGNIFICANT_DIGITS = 12


def round_state(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value to a 40-bit mantissa, ties to even. Zeros, infinities and NaN stay as they are.

    >>> float(round_state(np.array([1 / 3]))[0])
    0.3333333333334849
    """
    mantissa, exponent = np.frexp(values)
    rounded: NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(mantissa, STATE_BITS)), exponent - STATE_BITS)
    return rounded


@overload
def round_published(value: float) -> float: ...
@overload
def round_published(value: None) -> None: ...
def round_published(value: float | None) -> float | None:
    """To 12 significant decimal digits; None stays None, and an infinite or undefined value is None too.

    >>> round_published(2 / 3)
    0.666666666667
    """
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
