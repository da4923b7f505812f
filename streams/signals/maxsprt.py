"""Poisson MaxSPRT: a sequential test of a count against its expectation, with exact critical values.

Cases of one pair come one by one; under the null hypothesis they are a Poisson process on the scale of cases expected.
The test signals when the log likelihood ratio of the best relative risk above 1 exceeds the critical value:

```
LLR(n, mu) = n ln(n/mu) - (n - mu)   if n > mu, else 0
```
The ratio falls while nothing happens, so with continuous looks it can only be reached at a case: the n-th case signals
iff it comes before t_n, the time at which LLR(n, t_n) is the critical value, t_n = -n W(-exp(-1 - c/n)) with Lambert's
W. The distribution of the count at t_1 < t_2 < ... without a signal is carried from one to the next: exact up to
floating point, no simulation.
Source: Kulldorff, Davis, Kolczak, Lewis, Lieu, Platt, Seq Anal 2011;30:58; delayed starts: Kulldorff, Silva, REVSTAT
2015;13:373. One pair, one test: it says nothing about a thousand pairs watched at once (the level `strong` does).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import gammaln, lambertw, pdtrc, xlogy

__all__ = ["Design", "Performance", "critical_value", "llr", "performance", "signal_times"]

Floats = NDArray[np.float64]

_NEGLIGIBLE = 1e-18  # of a probability that is summed with others up to 1
_TOLERANCE = 1e-11  # of a critical value
_LARGEST = 30.0  # critical value: levels below exp(-30) are lost in floating point


def llr(n: ArrayLike, expected: ArrayLike) -> Floats:
    """Log likelihood ratio of n cases where `expected` > 0 were expected; 0 where there are not more than expected.

    >>> llr([5, 2], [1.2, 3.0]).round(4).tolist()
    [3.3356, 0.0]
    """
    counts, means = np.asarray(n, float), np.asarray(expected, float)
    if (counts < 0).any() or not (means > 0).all():
        raise ValueError("need n >= 0 and expected > 0")
    above = np.maximum(counts, means)  # n = mu gives 0
    return np.asarray(above * np.log(above / means) - (above - means))


def signal_times(critical: float, n: ArrayLike) -> Floats:
    """Expected cases t_n before which the n-th case (n >= 1) signals: LLR(n, t_n) = critical.

    >>> signal_times(2.853937, [1, 2, 3]).round(4).tolist()
    [0.0217, 0.1947, 0.5043]
    """
    counts = np.asarray(n, float)
    return np.asarray(-counts * lambertw(-np.exp(-1 - critical / counts)).real)


class Design(NamedTuple):
    """When the test looks.

    horizon: T, expected cases at which it ends · min_cases: M, fewer never signal · start: D, expected cases before
    which nothing signals · looks: expected cases at each look if there are only so many; after every case if empty.
    """

    horizon: float
    min_cases: int = 1
    start: float = 0.0
    looks: tuple[float, ...] = ()

    @classmethod
    def of_groups(cls, sizes: Sequence[float], min_cases: int = 1) -> Design:
        """Looks after groups of so many expected cases each."""
        looks = tuple(float(x) for x in np.cumsum(sizes))
        return cls(looks[-1], min_cases, looks=looks)


class Performance(NamedTuple):
    """Of a test under a relative risk: chance to signal, mean expected cases (time) at the signal given that there is
    one, and mean length of the surveillance, which ends at the signal or the horizon."""

    power: float
    time_to_signal: float
    length: float


class _Step(NamedTuple):
    """Until `end` the count stays below `limit`, or there is a signal: at the limit-th case, or at `end` if a look."""

    end: float
    limit: int
    look: bool


def _steps(critical: float, design: Design) -> Iterator[_Step]:
    if not (critical > 0 and design.horizon > design.start >= 0 and design.min_cases >= 1):
        raise ValueError(f"need critical > 0, horizon > start >= 0, min_cases >= 1, got {critical!r} and {design}")
    if not (np.diff((0.0, *design.looks)) > 0).all():
        raise ValueError(f"looks must rise from above 0, got {design.looks}")
    for look in design.looks:
        yield _Step(look, _limit(critical, look, design.min_cases), True)
    if design.looks:
        return
    first = design.min_cases
    if design.start > 0:
        first = _limit(critical, design.start, first)
        yield _Step(design.start, first, True)
    last = _limit(critical, design.horizon, first)  # the first n with t_n >= T
    for n, end in enumerate(signal_times(critical, np.arange(first, last + 1)).tolist(), first):
        yield _Step(min(max(end, design.start), design.horizon), n, False)


def _limit(critical: float, expected: float, min_cases: int) -> int:
    """Smallest count that signals at a look."""
    n = max(min_cases, int(expected) + 1)
    candidates = np.arange(n, n + int(4 * critical + 4 * (critical * expected) ** 0.5) + 8)
    return int(candidates[np.argmax(llr(candidates, expected) > critical)])


def _carried(counts: Floats, mean: float, limit: int) -> Floats:
    """Distribution of the count, from 0 up to below `limit`, after a further Poisson(mean) of cases."""
    i = np.arange(min(limit, int(mean + 10 * mean**0.5) + 30))
    more = np.exp(xlogy(i, mean) - mean - gammaln(i + 1.0))  # beyond: negligible
    result = np.zeros(limit)
    spread = np.convolve(counts, more)[:limit]
    result[: len(spread)] = spread
    return result


def _waiting(counts: Floats, step: _Step, since: float, risk: float) -> float:
    """Mean time of the signal in a step, times its probability: the time of the Erlang-th case, if before the end."""
    missing = step.limit - np.arange(len(counts))
    mean = risk * (step.end - since)
    reached = pdtrc(missing - 1, mean)
    return float(counts @ (since * reached + missing / risk * pdtrc(missing, mean)))


def performance(critical: float, design: Design, relative_risk: float = 1.0) -> Performance:
    """What the test with this critical value does if cases come `relative_risk` times as often as expected.

    >>> [round(x, 3) for x in performance(3.467952, Design(10), 2)]
    [0.685, 4.131, 5.979]
    """
    if not relative_risk > 0:
        raise ValueError(f"relative risk must be above 0, got {relative_risk!r}")
    counts, since, signalled, waited = np.ones(1), 0.0, 0.0, 0.0
    for step in _steps(critical, design):
        after = _carried(counts, relative_risk * (step.end - since), step.limit)
        lost = max(0.0, float(counts.sum() - after.sum()))
        signalled += lost
        waited += lost * step.end if step.look else _waiting(counts, step, since, relative_risk)
        counts, since = after, step.end
        if counts.sum() < _NEGLIGIBLE:
            break
    time = waited / signalled if signalled > 0 else float("nan")
    return Performance(signalled, time, waited + design.horizon * max(0.0, 1 - signalled))


def _level(critical: float, design: Design) -> float:
    counts, since = np.ones(1), 0.0
    for step in _steps(critical, design):
        counts, since = _carried(counts, step.end - since, step.limit), step.end
    return 1 - float(counts.sum())


def critical_value(design: Design, alpha: float = 0.05) -> float | None:
    """Smallest critical value with which the test signals with a probability of at most `alpha` under the null.

    Signal when LLR > it. The level is `alpha` exactly with continuous looks from the beginning; where it jumps (a
    delayed start, groups) it may be below. None if even any excess over expectation would keep the level.

    >>> round(critical_value(Design(10)), 6), round(critical_value(Design(10, min_cases=4)), 6)
    (3.467952, 2.921561)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha!r}")
    if _level(_TOLERANCE, design) <= alpha:
        return None

    def excess(critical: float) -> float:  # on the log scale it is nearly a line
        return float(np.log(max(_level(critical, design), 1e-15) / alpha))

    found = float(brentq(excess, _TOLERANCE, _LARGEST, xtol=_TOLERANCE, rtol=1e-14))
    while _level(found, design) > alpha + 1e-12:
        found += _TOLERANCE
    return found
