"""Binomial MaxSPRT: a sequential test of how cases divide between exposed and unexposed, with exact critical values.

Each case is exposed with probability p under the null hypothesis (p = 1/(1+z) with z unexposed controls, or unexposed
days, for each exposed one). After n cases, k of them exposed:

```
LLR(k, n) = k ln(k/n / p) + (n-k) ln((n-k)/n / (1-p))   if k/n > p, else 0
```
The distribution of k without a signal is carried from case to case: exact up to floating point, no simulation. The
level can only take certain values, so it is mostly below what was asked for.
Source: Kulldorff et al., Seq Anal 2011;30:58, section 4; the R package Sequential.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

__all__ = ["BinomialDesign", "BinomialPerformance", "binomial_critical_value", "binomial_llr", "binomial_performance"]

Floats = NDArray[np.float64]

_SAME = 1e-9  # likelihood ratios closer than this are one: they are equal but for rounding


def binomial_llr(k: ArrayLike, n: ArrayLike, p: float) -> Floats:
    """Log likelihood ratio of k exposed among n >= 1 cases, each exposed with probability p under the null.

    >>> binomial_llr([2, 0], [2, 2], 0.2).round(5).tolist()
    [3.21888, 0.0]
    """
    exposed, cases = np.asarray(k, float), np.asarray(n, float)
    if not (0 < p < 1 and (exposed >= 0).all() and (exposed <= cases).all() and (cases >= 1).all()):
        raise ValueError("need 0 < p < 1, n >= 1 and 0 <= k <= n")
    rest = cases - exposed
    value = xlogy(exposed, exposed / (cases * p)) + xlogy(rest, rest / (cases * (1 - p)))
    return np.asarray(np.where(exposed > cases * p, value, 0.0))


class BinomialDesign(NamedTuple):
    """When the test looks.

    cases: N, at which it ends · p: chance that a case is exposed under the null · min_cases: M, fewer never signal ·
    looks: cases at each look if there are only so many; after every case if empty.
    """

    cases: int
    p: float
    min_cases: int = 1
    looks: tuple[int, ...] = ()

    @classmethod
    def of_groups(cls, sizes: Sequence[int], p: float, min_cases: int = 1) -> BinomialDesign:
        """Looks after groups of so many cases each."""
        looks = tuple(np.cumsum(sizes).tolist())
        return cls(looks[-1], p, min_cases, looks)

    def looking(self) -> tuple[int, ...]:
        """Numbers of cases at which a signal is possible."""
        return tuple(n for n in self.looks or range(1, self.cases + 1) if n >= self.min_cases)


class BinomialPerformance(NamedTuple):
    """Chance to signal, mean cases at the signal given that there is one, mean cases in all."""

    power: float
    cases_to_signal: float
    cases: float


def binomial_performance(critical: float, design: BinomialDesign, relative_risk: float = 1.0) -> BinomialPerformance:
    """What the test does if exposure multiplies the risk by `relative_risk`.

    A signal is LLR > critical. With a relative risk of 1 the power is the level.

    >>> round(binomial_performance(3.46574, BinomialDesign(50, 0.5)).power, 5)
    0.0388
    """
    if not (critical >= 0 and relative_risk > 0):
        raise ValueError("need critical value >= 0 and relative risk > 0")
    odds = relative_risk * design.p / (1 - design.p)
    p = odds / (1 + odds)
    looking = set(design.looking())
    exposed = np.zeros(design.cases + 1)
    exposed[0] = 1.0
    signalled, waited = 0.0, 0.0
    for n in range(1, design.cases + 1):
        exposed[1 : n + 1] = exposed[1 : n + 1] * (1 - p) + exposed[:n] * p
        exposed[0] *= 1 - p
        if n in looking:
            out = binomial_llr(np.arange(n + 1), n, design.p) > critical + _SAME
            lost = float(exposed[: n + 1][out].sum())
            exposed[: n + 1][out] = 0.0
            signalled += lost
            waited += lost * n
    cases = waited / signalled if signalled > 0 else float("nan")
    return BinomialPerformance(signalled, cases, waited + design.cases * (1 - signalled))


def binomial_critical_value(design: BinomialDesign, alpha: float = 0.05) -> float | None:
    """Smallest critical value with which the test signals with a probability of at most `alpha` under the null.

    Signal when LLR > it: it is the largest attainable LLR that must not signal. None if there is none, for any excess
    keeps the level, or no division of so few cases signals. Cost: N squared for each of about 2 log2(N) trials.

    >>> round(binomial_critical_value(BinomialDesign(25, 1 / 3), alpha=0.01), 4)
    4.5958
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha!r}")
    values = np.concatenate([binomial_llr(np.arange(n + 1), n, design.p) for n in design.looking()])
    values = np.unique(np.append(values, 0.0))
    values = values[np.diff(values, append=np.inf) > _SAME]
    low, high = -1, len(values) - 1  # below values[0] the level is too large; above the last nothing signals
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_performance(float(values[middle]), design).power <= alpha:
            high = middle
        else:
            low = middle
    return float(values[high]) if 0 < high < len(values) - 1 else None
