"""Maximum-likelihood fit of the gamma-Poisson shrinker's prior to the pairs that have at least one case.

Pairs without a case are left out (a monitor has thousands of times more of them), so the likelihood must be truncated
at n >= 1. Two truncations are in use, and they differ in what they call a signal (131 and 81 pairs on CAERS):

- `mixture` (ours): p f1(n) + (1-p) f2(n), divided by the probability that the mixture gives n >= 1. Exact.
- `component` (openEBGM): each negative binomial is divided by its own P(n >= 1) before they are mixed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import digamma, expit, gammaln

from streams.signals.gps import Prior

Truncation = Literal["mixture", "component"]
Floats = NDArray[np.float64]

START = Prior(0.2, 0.1, 2.0, 4.0, 1 / 3)  # DuMouchel 1999
_BOUNDS = ((-7.0, 7.0),) * 4 + ((-14.0, 14.0),)


def _component(n: Floats, expected: Floats, alpha: float, beta: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Log mass at n with its derivatives by log alpha and log beta, and log mass at 0."""
    share = np.log(beta / (beta + expected))
    value = (
        gammaln(alpha + n) - gammaln(alpha) - gammaln(n + 1) + alpha * share + n * np.log(expected / (beta + expected))
    )
    by_alpha = alpha * (digamma(alpha + n) - digamma(alpha) + share)
    by_beta = (alpha * expected - n * beta) / (beta + expected)
    return value, by_alpha, by_beta, alpha * share


def _objective(
    point: Floats, n: Floats, expected: Floats, weights: Floats, truncation: Truncation
) -> tuple[float, Floats]:
    """Negative log likelihood and its gradient by (log a1, log b1, log a2, log b2, logit p)."""
    a1, b1, a2, b2 = np.exp(point[:4])
    p = float(expit(point[4]))
    parts = []
    for alpha, beta, log_weight in ((a1, b1, np.log(p)), (a2, b2, np.log1p(-p))):
        value, by_alpha, by_beta, zero = _component(n, expected, alpha, beta)
        zero_by_alpha, zero_by_beta = zero, alpha * expected / (beta + expected)
        if truncation == "component":
            odds = np.exp(zero) / -np.expm1(zero)  # P(0) / P(n >= 1)
            value = value - np.log(-np.expm1(zero))
            by_alpha, by_beta = by_alpha + odds * zero_by_alpha, by_beta + odds * zero_by_beta
        parts.append((value + log_weight, by_alpha, by_beta, zero + log_weight, zero_by_alpha, zero_by_beta))
    total = np.logaddexp(parts[0][0], parts[1][0])
    share1 = np.exp(parts[0][0] - total)
    shares = (share1, 1 - share1)
    gradient = [s * part[k] for s, part in zip(shares, parts, strict=True) for k in (1, 2)] + [share1 - p]
    if truncation == "mixture":
        zero = np.logaddexp(parts[0][3], parts[1][3])
        total = total - np.log(-np.expm1(zero))
        zeros = [np.exp(part[3]) / -np.expm1(zero) for part in parts]
        for i, part in enumerate(parts):
            gradient[2 * i] = gradient[2 * i] + zeros[i] * part[4]
            gradient[2 * i + 1] = gradient[2 * i + 1] + zeros[i] * part[5]
        gradient[4] = gradient[4] + zeros[0] - p * (zeros[0] + zeros[1])
    return -float(weights @ total), -np.array([float(weights @ g) for g in gradient])


def _point(prior: Prior) -> Floats:
    return np.array([*np.log(prior[:4]), np.log(prior.weight / (1 - prior.weight))])


def _arrays(n: ArrayLike, expected: ArrayLike) -> tuple[Floats, Floats]:
    counts, means = np.asarray(n, float), np.asarray(expected, float)
    if counts.shape != means.shape or counts.ndim != 1:
        raise ValueError(f"n and expected must be lists of one length, got {counts.shape} and {means.shape}")
    if not ((counts >= 1).all() and (means > 0).all()):
        raise ValueError("every pair needs n >= 1 and expected > 0")
    return counts, means


def negative_log_likelihood(
    *, n: ArrayLike, expected: ArrayLike, prior: Prior, truncation: Truncation = "mixture"
) -> float:
    """Negative log likelihood of the pairs' counts, truncated at n >= 1."""
    counts, means = _arrays(n, expected)
    return _objective(_point(prior), counts, means, np.ones_like(counts), truncation)[0]


def squash(n: ArrayLike, expected: ArrayLike, digits: int = 2) -> tuple[Floats, Floats, Floats]:
    """Pairs of equal n whose expectations agree to `digits` significant digits, as (n, mean expected, how many).

    Data squashing after DuMouchel and Pregibon (KDD 2001): the fit costs by the group, not by the pair.
    """
    counts, means = _arrays(n, expected)
    scale = 10.0 ** (digits - 1 - np.floor(np.log10(means)))
    keys = np.stack([counts, np.rint(means * scale) / scale])
    groups, inverse, sizes = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse.ravel(), weights=means, minlength=groups.shape[1])
    return groups[0], sums / sizes, sizes.astype(float)


def fit(
    *,
    n: ArrayLike,
    expected: ArrayLike,
    truncation: Truncation = "mixture",
    start: Prior = START,
    squashed: bool = False,
) -> Prior | None:
    """The prior of the largest likelihood, by L-BFGS-B on log and logit scales with exact gradients.

    Deterministic: no random restarts. None if there are fewer pairs than hyperparameters or the search fails.
    The first component is the one with the larger mean.

    Two components that explain the same pairs equally well (a flat likelihood) make single hyperparameters arbitrary;
    posteriors hardly move. Raises ValueError for n < 1.
    """
    counts, means = _arrays(n, expected)
    if len(counts) < len(START):
        return None
    weights = np.ones_like(counts)
    if squashed:
        counts, means, weights = squash(counts, means)
    found = minimize(
        _objective,
        _point(start),
        args=(counts, means, weights, truncation),
        jac=True,
        method="L-BFGS-B",
        bounds=_BOUNDS,
        options={"maxiter": 1000, "maxfun": 2000, "ftol": 1e-13, "gtol": 1e-7},
    )
    if not np.isfinite(found.fun):
        return None
    a1, b1, a2, b2 = (float(x) for x in np.exp(found.x[:4]))
    p = float(expit(found.x[4]))
    return Prior(a1, b1, a2, b2, p) if a1 / b1 >= a2 / b2 else Prior(a2, b2, a1, b1, 1 - p)


__all__ = ["START", "Truncation", "fit", "negative_log_likelihood", "squash"]
