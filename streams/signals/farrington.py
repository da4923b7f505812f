"""Whether a count stands out of its own past: the upper bound of Farrington's outbreak detection, with an offset.

Counts y_i of past spans and totals t_i of everything reported in them give the rate r = sum y / sum t and the expected
count mu = r t_0 of the present span. Counts cluster, so their variance is phi times the mean, phi >= 1 as estimated:

```
phi = max(1, 1/(k-1) sum_i (y_i - r t_i)^2 / (r t_i))          Var(mu) = phi mu^2 / sum y
bound = mu (1 + 2/3 z sqrt(phi mu + Var(mu)) / mu)^(3/2)
```
The 2/3 power makes a skew count nearly normal. Farrington's trend and his weights for past outbreaks are left out: a
past rise widens the bound.
Source: Farrington, Andrews, Beale, Catchpole, J R Stat Soc A 1996;159:547, with totals as an offset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Bound", "upper_bound"]


class Bound(NamedTuple):
    """What the past lets expect: mean, the bound above which a count stands out, and the dispersion."""

    expected: float
    upper: float
    dispersion: float


def upper_bound(*, counts: Sequence[int], totals: Sequence[int], total: int, z: float) -> Bound | None:
    """The bound for the present span, of which `total` is all that was reported; `z` is the normal quantile.

    None without past counts or with fewer than two past spans that hold reports: there is nothing to compare with.

    >>> [round(x, 3) for x in upper_bound(counts=[4, 6, 5, 5], totals=[100, 100, 100, 100], total=100, z=1.96)]
    [5.0, 10.629, 1.0]
    """
    if len(counts) != len(totals):
        raise ValueError(f"{len(counts)} counts and {len(totals)} totals")
    spans = [(y, t) for y, t in zip(counts, totals, strict=True) if t > 0]
    seen = sum(y for y, _ in spans)
    if len(spans) < 2 or seen == 0 or total <= 0:
        return None
    rate = seen / sum(t for _, t in spans)
    dispersion = max(1.0, sum((y - rate * t) ** 2 / (rate * t) for y, t in spans) / (len(spans) - 1))
    mean = rate * total
    error = math.sqrt(dispersion * mean + dispersion * mean * mean / seen)
    return Bound(mean, mean * (1 + 2 / 3 * z * error / mean) ** 1.5, dispersion)
