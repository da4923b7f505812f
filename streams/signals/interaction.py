"""Drug-drug interaction: more cases of an event with two drugs together than the two account for apart.

Reports fall into four groups: with both drugs, with the first only, with the second only, with neither. In each, `n`
are reports and `x` those of them with the event. Without interaction, risks add up (Noren's baseline, on the odds
scale):

```
f = x/n in each group;   o = f/(1-f)
g = 1 - 1 / (max(o_neither, o_first) + max(o_neither, o_second) - o_neither + 1)      E = g * n_both
```
A drug that is rarer with the event than its absence counts as having no effect: interaction is not invented from it.
All functions work on whole arrays; NaN where a group without reports leaves the expectation undefined.
Source: Noren, Sundberg, Bate, Edwards, Stat Med 2008;27:3057.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv

from streams.signals.tables import Z95

__all__ = ["Omega", "chi_interaction", "expected_additive", "omega", "omega_normal"]

Floats = NDArray[np.float64]
_SHRINKAGE = 0.5


class Omega(NamedTuple):
    """Log2 ratio of observed to expected cases, shrunk towards 0, with the bounds of its 95% interval."""

    estimate: Floats
    lower: Floats
    upper: Floats


def _odds(name: str, x: ArrayLike, n: ArrayLike) -> Floats:
    events, reports = np.asarray(x, float), np.asarray(n, float)
    if not ((events >= 0) & (events <= reports) & np.isfinite(reports)).all():
        raise ValueError(f"{name}: need 0 <= events <= reports")
    with np.errstate(divide="ignore", invalid="ignore"):  # 0/0: no reports, undefined; x/0: every report has the event
        return np.asarray(events / (reports - events))


def expected_additive(
    *, both: ArrayLike, first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike],
    neither: tuple[ArrayLike, ArrayLike],
) -> Floats:  # fmt: skip
    """Cases expected with both drugs if their risks only add up.

    `both`: reports; the others: (reports with the event, reports). Raises ValueError for events that are not among 0
    and the reports of their group.

    >>> e = expected_additive(both=100, first=(30, 1000), second=(20, 1000), neither=(500, 50_000))
    >>> round(float(e), 4)  # risks of 3% and 2% over a background of 1%: about 4%
    3.9602
    """
    o1, o2, o0 = _odds("first", *first), _odds("second", *second), _odds("neither", *neither)
    with np.errstate(invalid="ignore"):
        total = np.maximum(o0, o1) + np.maximum(o0, o2) - np.where(np.isinf(o0), 0.0, o0)
        return np.asarray(both, float) * (1 - 1 / (total + 1))


def _check(observed: ArrayLike, expected: ArrayLike) -> tuple[Floats, Floats]:
    o, e = np.asarray(observed, float), np.asarray(expected, float)
    if (o < 0).any() or (e < 0).any():
        raise ValueError("observed and expected cases can't be negative")
    return o, e


def omega(observed: ArrayLike, expected: ArrayLike) -> Omega:
    """log2((O + 1/2) / (E + 1/2)), bounds: log2 of the quantiles of Gamma(O + 1/2, rate E + 1/2).

    Source: Noren 2008, equation 9 and after; the exact bounds.

    >>> [round(float(x), 4) for x in omega(12, 4)]
    [1.4739, 0.5437, 2.1751]
    """
    o, e = _check(observed, expected)
    shape, rate = o + _SHRINKAGE, e + _SHRINKAGE
    lower, upper = (np.log2(gammaincinv(shape, q) / rate) for q in (0.025, 0.975))
    return Omega(np.log2(shape / rate), lower, upper)


def omega_normal(observed: ArrayLike, expected: ArrayLike) -> Omega:
    """The same estimate with Noren's approximate bounds: -+ 1.96 / (ln 2 sqrt(O)). NaN where O = 0.

    >>> [round(float(x), 4) for x in omega_normal(12, 4)]
    [1.4739, 0.6577, 2.2902]
    """
    o, e = _check(observed, expected)
    estimate = np.log2((o + _SHRINKAGE) / (e + _SHRINKAGE))
    width = Z95 / (math.log(2) * np.sqrt(np.where(o > 0, o, np.nan)))
    return Omega(estimate, estimate - width, estimate + width)


def chi_interaction(observed: ArrayLike, expected: ArrayLike) -> Floats:
    """(O - E - 1/2) / sqrt(E), a chi-squared statistic's signed root with continuity correction; > 2 is Gosho's signal.

    NaN where E = 0. Finds rare events sooner than Omega, at the price of more false ones.
    Source: Gosho, Maruo, Tada, Hirakawa, Eur J Clin Pharmacol 2017;73:779.

    >>> round(float(chi_interaction(12, 4)), 4)
    3.75
    """
    o, e = _check(observed, expected)
    positive = np.where(e > 0, e, np.nan)
    return np.asarray((o - positive - 0.5) / np.sqrt(positive))
