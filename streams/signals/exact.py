"""Exact intervals: Fisher's of the odds ratio of a 2x2 table, Garwood's of a ratio of observed to expected cases, and
the conditional one of two reporting rates. They hold their level at any count, also where a cell is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, gammaincinv

from streams.signals.tables import UNDEFINED, Interval

__all__ = ["rate_ratio", "relative_reporting_ratio", "ror_fisher"]

Floats = NDArray[np.float64]

_TAIL = 0.025


def _hypergeometric(a: int, b: int, c: int, d: int) -> tuple[Floats, Floats]:
    """Values x of the cell a with the margins fixed, and their log weights at an odds ratio of 1, relative to a's.

    A window of 15 standard deviations round a is enough: the bounds lie at two, and the weights are log-concave.
    """
    reach = 15 / math.sqrt(sum(1 / (x + 1) for x in (a, b, c, d))) + 60
    low, high = max(-min(a, d), -int(reach)), min(min(b, c), int(reach))
    up = np.arange(high, dtype=float)  # from a + i to a + i + 1
    down = np.arange(-low, dtype=float)
    rising = np.cumsum(np.log((b - up) / (a + up + 1) * (c - up) / (d + up + 1)))
    falling = np.cumsum(np.log((a - down) / (b + down + 1) * (d - down) / (c + down + 1)))
    return np.arange(low, high + 1, dtype=float), np.concatenate([falling[::-1], [0.0], rising])


def _log_sum(log: Floats) -> float:
    largest = float(log.max())
    return largest + math.log(float(np.exp(log - largest).sum()))


def ror_fisher(*, a: int, b: int, c: int, d: int) -> Interval:
    """Reporting odds ratio as the conditional maximum-likelihood estimate with Fisher's exact 95% interval.

    Both come from the distribution of a when the margins are fixed (Fisher's noncentral hypergeometric): the bounds are
    the odds ratios at which a count as large, or as small, has a probability of 2.5%. The convention of R's
    `fisher.test` and so of DiAna; wider than Woolf's. With a or d zero the estimate and the lower bound are 0.0; with b
    or c zero the estimate and the upper bound are None (infinite); with an empty margin all are None.
    Raises ValueError for what is no count; sums of probabilities have no such interval.
    Source: Cornfield, Proc 3rd Berkeley Symp 1956;4:135; Fisher, J R Stat Soc 1935;98:39.

    >>> [round(x, 3) for x in ror_fisher(a=25, b=475, c=120, d=9380)]
    [4.113, 2.535, 6.442]
    """
    for name, value in (("a", a), ("b", b), ("c", c), ("d", d)):
        if not (math.isfinite(value) and value >= 0 and value == int(value)):
            raise ValueError(f"{name} must be a whole number >= 0, got {value!r}")
    offsets, weights = _hypergeometric(a, b, c, d)
    if len(offsets) == 1:
        return UNDEFINED

    def mean(log_ratio: float) -> float:
        log = weights + offsets * log_ratio
        return float(np.exp(log - _log_sum(log)) @ offsets)

    def tail(log_ratio: float, side: NDArray[np.bool_]) -> float:
        log = weights + offsets * log_ratio
        return _log_sum(log[side]) - _log_sum(log) - math.log(_TAIL)  # nearly a line

    middle = math.log((a + 0.5) * (d + 0.5) / (b + 0.5) / (c + 0.5))
    reach = 10 * math.sqrt(sum(1 / (x + 0.5) for x in (a, b, c, d)))

    def root(function: Callable[[float], float]) -> float:
        return float(brentq(function, middle - reach, middle + reach, xtol=1e-13, rtol=1e-14))

    at_bottom, at_top = offsets[0] == 0, offsets[-1] == 0
    estimate = 0.0 if at_bottom else None if at_top else math.exp(root(mean))
    lower = 0.0 if at_bottom else math.exp(root(lambda x: tail(x, offsets >= 0)))
    upper = None if at_top else math.exp(root(lambda x: -tail(x, offsets <= 0)))
    return Interval(estimate, lower, upper)


def relative_reporting_ratio(*, observed: float, expected: float) -> Interval:
    """Observed over expected cases, O/E, with Garwood's exact Poisson interval of O.

    With E = (a+b)(a+c)/N it is openEBGM's RR; with E within strata (`expected_within_strata`), the stratified one. None
    if E is 0. Sums of probabilities are read as if they were counts.
    Source: Garwood, Biometrika 1936;28:437.

    >>> [round(x, 3) for x in relative_reporting_ratio(observed=3, expected=0.5)]
    [6.0, 1.237, 17.535]
    """
    if not (math.isfinite(observed) and observed >= 0 and math.isfinite(expected) and expected >= 0):
        raise ValueError(f"need observed and expected >= 0, got {observed!r} and {expected!r}")
    if expected == 0:
        return UNDEFINED
    lower = float(gammaincinv(observed, _TAIL)) if observed > 0 else 0.0
    return Interval(observed / expected, lower / expected, float(gammaincinv(observed + 1, 1 - _TAIL)) / expected)


def rate_ratio(*, cases: int, exposure: float, other_cases: int, other_exposure: float) -> Interval:
    """Ratio of two reporting rates, cases per exposure (doses, prescriptions, days), with the exact 95% interval.

    Given the sum of both, the first count is binomial; the bounds are those of Clopper and Pearson. The estimate and
    the upper bound are None (infinite) without other cases, all are None without any case.
    Source: Przyborowski, Wilenski, Biometrika 1940;31:313; R's `poisson.test`.

    >>> [round(x, 4) for x in rate_ratio(cases=11, exposure=800, other_cases=21, other_exposure=3011)]
    [1.9715, 0.8584, 4.2773]
    """
    if not (cases >= 0 and other_cases >= 0 and exposure > 0 and other_exposure > 0):
        raise ValueError("need cases >= 0 and exposures > 0")
    if cases + other_cases == 0:
        return UNDEFINED
    scale = other_exposure / exposure
    low = float(betaincinv(cases, other_cases + 1, _TAIL)) if cases > 0 else 0.0
    if other_cases == 0:
        return Interval(None, low / (1 - low) * scale, None)
    high = float(betaincinv(cases + 1, other_cases, 1 - _TAIL))
    return Interval(cases / other_cases * scale, low / (1 - low) * scale, high / (1 - high) * scale)
