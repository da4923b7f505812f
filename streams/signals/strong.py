"""Level `strong`: a stratified Shiryaev-Roberts e-detector that keeps a budget, as pure functions on arrays.

For one closed bucket, stratum and pair: N cases, n of them with the drug, m the sum of the event's scores over the N, S
the same over the n.

```
log L(theta) = sum over strata of  S log(theta) - min(n log(1 + (theta-1) m/N), m log(1 + (theta-1) n/N))
M[theta]     = L(theta) * M[theta] + a
```
If drugs and events are exchangeable within bucket and stratum, S is a sum of n scores drawn without replacement, so
E[theta^S] <= (1 + (theta-1) m/N)^n (Hoeffding 1963, theorem 4, and convexity). Coded terms score 0 or 1, then S is
hypergeometric and the same holds with n and m exchanged; both bounds depend on the margins alone, so the smaller one
may be taken. Hence E[L] <= 1 in every bucket, and the alarms of all pairs together in k buckets are at most (k + b)/c
on average, under any dependence between pairs (Shin, Ramdas, Rinaldo, "E-detectors", 2024): an alarm takes at least c
out of what was put in. Asking more of an alarm (gates) only makes alarms fewer.

A pair without its drug, or without its event, in the bucket has L = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.signals.early import CEILING, MICRO
from streams.signals.rule import AlarmRule

__all__ = ["BucketMargins", "grown", "margins", "weighted"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BucketMargins:
    """What all drugs of a bucket share: its events' numbers `columns`, m in cases of shape (strata, columns), N of
    shape (strata,), and log(1 + (theta-1) m/N) of shape (thetas, strata, columns)."""

    columns: NDArray[np.int64]
    scores: Floats
    cases: Counts
    logs: Floats


def margins(*, columns: NDArray[np.int64], event_micro: Counts, cases: Counts, rule: AlarmRule) -> BucketMargins:
    """Margins of a bucket from m in micro of its events and N. N may be 0 only where m is."""
    scores = event_micro / MICRO
    share = scores / np.maximum(cases, 1)[:, np.newaxis]
    logs = np.stack([np.log1p((theta - 1.0) * share) for theta in rule.strong_thetas])
    return BucketMargins(columns, scores, cases, logs)


def grown(
    statistics: Floats, *, score_micro: Counts, drug_cases: Counts, bucket: BucketMargins, rule: AlarmRule
) -> Floats:
    """M after the bucket, shape (thetas, all events). The injection comes after the update, or the bound is lost.

    `score_micro`: S of each event, summed over the strata · `drug_cases`: n per stratum.
    """
    above = np.array(rule.strong_thetas)[:, np.newaxis] - 1.0
    exponent = np.log1p(above) * (score_micro[bucket.columns] / MICRO)
    for stratum in np.flatnonzero(drug_cases).tolist():
        n = int(drug_cases[stratum])
        bound = n * bucket.logs[:, stratum]
        if rule.coded:
            twin = np.log1p(above * (n / int(bucket.cases[stratum]))) * bucket.scores[stratum]
            np.minimum(bound, twin, out=bound)
        exponent -= bound
    result = statistics.copy()
    result[:, bucket.columns] *= np.exp(exponent)
    return np.minimum(result + rule.strong_injection, CEILING)


def weighted(statistics: Floats, rule: AlarmRule) -> Floats:
    """The detector's value: the mean of M over the thetas with the rule's weights, added in their order."""
    total = np.zeros(statistics.shape[1])
    for weight, row in zip(rule.strong_weights, statistics, strict=True):
        total += weight * row
    return total
