"""Gamma-Poisson shrinker: posterior of a pair's reporting ratio under a mixture of two gamma priors (EBGM, EB05, EB95).

A count n of a pair with expectation E is Poisson(lambda E); lambda ~ p Gamma(a1, b1) + (1-p) Gamma(a2, b2).
Source: DuMouchel, Am Stat 1999;53:177. Fitting the prior is `gps_fit`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import digamma, gammainc, gammaincinv, gammaln


class Prior(NamedTuple):
    """Hyperparameters of the mixture: shapes, rates, and the weight of the first component."""

    alpha1: float
    beta1: float
    alpha2: float
    beta2: float
    weight: float


class Posterior(NamedTuple):
    """Posterior of one pair: weight of the first component, and the two gamma components' shapes and rates."""

    weight: float
    shape1: float
    rate1: float
    shape2: float
    rate2: float


def _log_negative_binomial(n: float, expected: float, alpha: float, beta: float) -> float:
    return float(
        gammaln(alpha + n)
        - gammaln(alpha)
        - gammaln(n + 1)
        + alpha * math.log(beta / (beta + expected))
        + (n * math.log(expected / (beta + expected)) if n > 0 else 0.0)
    )


def posterior(*, n: float, expected: float, prior: Prior) -> Posterior:
    """Posterior of the ratio given n cases where `expected` were expected. Raises ValueError unless n >= 0, E > 0."""
    if not (n >= 0 and expected > 0 and math.isfinite(n) and math.isfinite(expected)):
        raise ValueError(f"need n >= 0 and expected > 0, got {n!r} and {expected!r}")
    log1 = math.log(prior.weight) + _log_negative_binomial(n, expected, prior.alpha1, prior.beta1)
    log2 = math.log1p(-prior.weight) + _log_negative_binomial(n, expected, prior.alpha2, prior.beta2)
    weight = 1 / (1 + math.exp(min(700.0, log2 - log1)))
    return Posterior(weight, prior.alpha1 + n, prior.beta1 + expected, prior.alpha2 + n, prior.beta2 + expected)


def ebgm(post: Posterior) -> float:
    """Geometric mean of the posterior ratio: exp(E[log lambda])."""
    log1 = digamma(post.shape1) - math.log(post.rate1)
    log2 = digamma(post.shape2) - math.log(post.rate2)
    return math.exp(post.weight * float(log1) + (1 - post.weight) * float(log2))


def quantile(post: Posterior, probability: float) -> float:
    """Quantile of the posterior ratio, by bisection between the components' own quantiles (exact to 1e-13)."""
    if not 0 < probability < 1:
        raise ValueError(f"probability must be between 0 and 1, got {probability!r}")
    low, high = sorted(
        float(gammaincinv(shape, probability) / rate)
        for shape, rate in ((post.shape1, post.rate1), (post.shape2, post.rate2))
    )
    for _ in range(200):
        middle = (low + high) / 2
        below = post.weight * gammainc(post.shape1, middle * post.rate1)
        below += (1 - post.weight) * gammainc(post.shape2, middle * post.rate2)
        if below < probability:
            low = middle
        else:
            high = middle
        if high - low <= 1e-13 * high:
            break
    return (low + high) / 2
