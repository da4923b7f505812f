"""Level `early`: a history-referenced Shiryaev-Roberts rule with an effect bound, as pure functions on arrays.

For one closed bucket and one drug, over all events r at once (docs/decisions/signals.md has the readings
that were chosen where the rule's description leaves room):

```
p_r  = (m_r + 0.5) / (N + 1)            p_rs = (m_rs + 200 p_r) / (N_s + 200)
E    = max(1, (5 + m') / (5 + sum_s N'_s p_rs)) * sum_s n_ds p_rs
M[theta] = M[theta] * theta^x * ((beta + rho E) / (beta + theta rho E))^(alpha + x) + a          x = min(S, 3)
```
N, m: cases, and event scores, of the trailing window including this bucket; n_d: this bucket's cases with the drug;
N', m': of the last 30 days without the drug's cases, for what everybody reports more of just now is nobody's signal;
S: this bucket's score of the pair; alpha, beta: the pair's own past. Sums run in a fixed order, term by term, so that
no linear-algebra library decides about the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from streams.signals.rule import AlarmRule

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MICRO: Final = 1_000_000
CEILING: Final = 1e200  # of M: a pair kept from alerting by the gates must not reach infinity, where 0 * inf is NaN


def reference_rates(*, event_micro: Counts, cases: Counts, rule: AlarmRule) -> Floats:
    """p_rs: shape (strata, events) from m in micro of the same shape and N of shape (strata,).

    Neither may be negative. With a drug's own cases taken out both may be smaller than the window's.
    """
    m = event_micro / MICRO
    overall = (event_micro.sum(axis=0) / MICRO + 0.5) / (float(cases.sum()) + 1.0)
    rates: Floats = (m + rule.stratum_prior * overall) / (cases[:, np.newaxis] + rule.stratum_prior)
    return rates


def surge(*, event_micro: Counts, cases: Counts, rates: Floats, rule: AlarmRule) -> Floats:
    """How many times as often as by `rates` each event has been reported lately with other drugs; at least 1.

    (5 + m') / (5 + sum over s of N'_s p_rs), m' and N' of the last weeks' cases without the drug: shapes (strata,
    events) and (strata,).
    """
    expected = expected_cases(drug_cases=cases, rates=rates)
    found: Floats = (rule.concurrent_prior + event_micro.sum(axis=0) / MICRO) / (rule.concurrent_prior + expected)
    return np.maximum(found, 1.0)


def expected_cases(*, drug_cases: Counts, rates: Floats) -> Floats:
    """E for each event: sum over strata of n_ds p_rs, added in the order of the strata."""
    total = np.zeros(rates.shape[1])
    for n, rate in zip(drug_cases.tolist(), rates, strict=True):
        if n:
            total += n * rate
    return total


@dataclass(frozen=True)
class OwnPast:
    """Prior of a pair's reporting ratio from its own data of at least a year ago: shape, rate, and their ratio."""

    alpha: Floats
    beta: Floats
    ratio: Floats


def own_past(*, score_micro: Counts, expected: Floats, rule: AlarmRule) -> OwnPast:
    """alpha = 5 + S_old, beta = 5 + E_old; never a ratio below one: having been rarer than expected gains nothing."""
    beta = rule.past_prior + expected
    alpha = np.maximum(rule.past_prior + score_micro / MICRO, beta)
    return OwnPast(alpha, beta, alpha / beta)


def updated(statistics: Floats, *, score_micro: Counts, expected: Floats, past: OwnPast, rule: AlarmRule) -> Floats:
    """M after this bucket, shape (thetas, events). The injection comes after the update, or the bound is lost."""
    x = np.minimum(score_micro / MICRO, rule.score_cap)
    power = past.alpha + x
    mean = rule.rho * expected
    base = np.log(past.beta + mean)
    seen = np.flatnonzero(score_micro)
    result = np.empty_like(statistics)
    for i, theta in enumerate(rule.thetas):
        exponent = power * (base - np.log(past.beta + theta * mean))
        exponent[seen] += x[seen] * np.log(theta)
        result[i] = statistics[i] * np.exp(exponent) + rule.injection
    return np.minimum(result, CEILING)


def mixed(statistics: Floats) -> Floats:
    """The detector's value: the mean of M over the thetas (equal weights), added in their order."""
    total = np.zeros(statistics.shape[1])
    for row in statistics:
        total += row
    return total / len(statistics)


def lower_bound(*, cases: float, expected: float, past_ratio: float, rule: AlarmRule) -> float:
    """5% quantile of Gamma(0.5 + S_w) / (0.5 + lambda E_w): the least effect the recent data support."""
    return float(gammaincinv(0.5 + cases, rule.bound_level)) / (0.5 + past_ratio * expected)
