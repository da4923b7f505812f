"""The measures of `tables`, `information` and `gps` for many pairs at once: arrays in, arrays out, NaN for undefined.

Same formulas and sources as there; a test holds both to each other. For screening whole tables and comparing rules;
what is published with an alert comes from the functions for one pair.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, expit, gammainc, gammaincinv, gammaln, xlogy

from streams.signals.gps import Prior
from streams.signals.tables import MAX_WIDTH, Z95

__all__ = ["Bounds", "chi_squared", "ebgm", "ebgm_quantile", "evans", "ic_gamma", "ic_noren", "prr", "ror"]

Floats = NDArray[np.float64]


class Bounds(NamedTuple):
    """Estimates with the bounds of their 95% intervals."""

    estimate: Floats
    lower: Floats
    upper: Floats


def _cells(*cells: ArrayLike) -> list[Floats]:
    arrays = [np.asarray(x, float) for x in cells]
    if not all((np.isfinite(x) & (x >= 0)).all() for x in arrays):
        raise ValueError("counts must be finite and >= 0")
    return list(np.broadcast_arrays(*arrays))


def _log_normal(ratio: Floats, variance: Floats) -> Bounds:
    width = Z95 * np.sqrt(np.maximum(variance, 0.0))
    defined = np.where(ratio > 0, ratio, np.nan)
    upper = np.where(width < MAX_WIDTH, defined * np.exp(np.minimum(width, MAX_WIDTH)), np.nan)
    return Bounds(ratio, defined * np.exp(-width), upper)


def prr(*, a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Bounds:
    """Proportional reporting ratios with Wald intervals (`tables.prr`).

    >>> prr(a=[25, 3], b=[475, 7], c=[120, 0], d=[9380, 90]).estimate.round(3).tolist()
    [3.958, nan]
    """
    a, b, c, d = _cells(a, b, c, d)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(c > 0, a / (a + b) * ((c + d) / c), np.nan)
        return _log_normal(ratio, 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def ror(*, a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Bounds:
    """Reporting odds ratios with Woolf's intervals (`tables.ror`)."""
    a, b, c, d = _cells(a, b, c, d)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((b > 0) & (c > 0), a * d / (b * c), np.nan)
        return _log_normal(ratio, 1 / a + 1 / b + 1 / c + 1 / d)


def chi_squared(*, a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike, yates: bool = False) -> Floats:
    """Pearson's chi-squared, with `yates` continuity-corrected (`tables.chi_squared`)."""
    a, b, c, d = _cells(a, b, c, d)
    total = a + b + c + d
    distance = np.abs(a * d - b * c)
    if yates:
        distance = distance - np.minimum(total / 2, distance)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = total * distance * distance / ((a + b) * (c + d) * (a + c) * (b + d))
    return np.where(np.isfinite(value), value, np.nan)


def evans(*, a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> NDArray[np.bool_]:
    """Evans' rule, PRR >= 2, chi-squared >= 4, at least 3 cases; False where undefined (`tables.evans`)."""
    ratio, chi2 = prr(a=a, b=b, c=c, d=d).estimate, chi_squared(a=a, b=b, c=c, d=d)
    return (ratio >= 2) & (chi2 >= 4) & (np.asarray(a, float) >= 3)


def _log2_ratio(observed: ArrayLike, expected: ArrayLike) -> tuple[Floats, Floats, Floats]:
    o, e = _cells(observed, expected)
    return o + 0.5, e + 0.5, np.log2((o + 0.5) / (e + 0.5))


def ic_gamma(*, observed: ArrayLike, expected: ArrayLike) -> Bounds:
    """Information components with bounds from gamma quantiles (`information.ic_gamma`).

    >>> [x.round(4).tolist() for x in ic_gamma(observed=[12, 0], expected=[5, 3])]
    [[1.1844, -2.8074], [0.2542, -12.7992], [1.8856, -0.4786]]
    """
    shape, rate, ic = _log2_ratio(observed, expected)
    return Bounds(ic, *(np.log2(gammaincinv(shape, q) / rate) for q in (0.025, 0.975)))


def ic_noren(*, observed: ArrayLike, expected: ArrayLike) -> Bounds:
    """Information components with Noren's approximate bounds (`information.ic_noren`)."""
    shape, _, ic = _log2_ratio(observed, expected)
    return Bounds(ic, ic - 3.3 * shape**-0.5 - 2 * shape**-1.5, ic + 2.4 * shape**-0.5 - 0.5 * shape**-1.5)


def _weight(n: Floats, e: Floats, prior: Prior) -> Floats:
    """Posterior weight of the prior's first component."""
    logs = [
        gammaln(alpha + n) - gammaln(alpha) + alpha * np.log(beta / (beta + e)) + xlogy(n, e / (beta + e))
        for alpha, beta in ((prior.alpha1, prior.beta1), (prior.alpha2, prior.beta2))
    ]
    return np.asarray(expit(logs[0] - logs[1] + np.log(prior.weight) - np.log1p(-prior.weight)))


def _pairs(n: ArrayLike, expected: ArrayLike) -> tuple[Floats, Floats]:
    counts, means = _cells(n, expected)
    if not (means > 0).all():
        raise ValueError("every pair needs expected > 0")
    return counts, means


def ebgm(*, n: ArrayLike, expected: ArrayLike, prior: Prior) -> Floats:
    """Geometric means of the posterior reporting ratios (`gps.ebgm`)."""
    counts, means = _pairs(n, expected)
    weight = _weight(counts, means, prior)
    first = digamma(prior.alpha1 + counts) - np.log(prior.beta1 + means)
    second = digamma(prior.alpha2 + counts) - np.log(prior.beta2 + means)
    return np.asarray(np.exp(weight * first + (1 - weight) * second))


def ebgm_quantile(*, n: ArrayLike, expected: ArrayLike, prior: Prior, probability: float) -> Floats:
    """Quantiles of the posterior reporting ratios: EB05 with 0.05, EB95 with 0.95 (`gps.quantile`).

    By 60 bisections of all pairs at once between the two components' own quantiles.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability must be between 0 and 1, got {probability!r}")
    counts, means = _pairs(n, expected)
    weight = _weight(counts, means, prior)
    parts = ((prior.alpha1 + counts, prior.beta1 + means), (prior.alpha2 + counts, prior.beta2 + means))
    ends = [gammaincinv(shape, probability) / rate for shape, rate in parts]
    low, high = np.minimum(*ends), np.maximum(*ends)
    for _ in range(60):
        middle = (low + high) / 2
        below = weight * gammainc(parts[0][0], middle * parts[0][1])
        below += (1 - weight) * gammainc(parts[1][0], middle * parts[1][1])
        left = below < probability
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return np.asarray((low + high) / 2)
