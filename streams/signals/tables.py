"""Two-by-two tables of a drug and an event: PRR, ROR, chi-squared, Evans' rule and the score of Huang's test.

```
                 event     no event
drug               a           b
no drug            c           d
```
Counts are named arguments, for a transposed table gives a plausible wrong answer. They may be sums of probabilities.
A measure that a zero cell leaves undefined is None, never 0 and never infinity: who wants a number for a zero cell
asks a shrunken measure (`information`, `gps`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

Z95 = 1.959963984540054  # 97.5% point of the standard normal distribution
MAX_WIDTH = 600.0  # of an interval's half on the log scale: exp of more than 709 is no number


class Interval(NamedTuple):
    """An estimate with the bounds of its 95% interval; None where the data leave one undefined."""

    estimate: float | None
    lower: float | None
    upper: float | None


UNDEFINED = Interval(None, None, None)


def _check(*, a: float, b: float, c: float, d: float) -> None:
    for name, value in (("a", a), ("b", b), ("c", c), ("d", d)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a count >= 0, got {value!r}")


def _log_normal(ratio: float, standard_error: float) -> Interval:
    width = Z95 * standard_error
    upper = ratio * math.exp(width) if width < MAX_WIDTH else None  # cells of 10^-6: too wide for a number
    return Interval(ratio, ratio * math.exp(-width), upper)


def prr(*, a: float, b: float, c: float, d: float) -> Interval:
    """Proportional reporting ratio (a/(a+b)) / (c/(c+d)) with its Wald interval on the log scale.

    a = 0 gives an estimate of 0.0 without bounds. Undefined (None) if c = 0, or if no case has the drug, or all have.
    Source: Evans, Waller, Davis, Pharmacoepidemiol Drug Saf 2001;10:483; epiR `epi.2by2`.

    >>> round(prr(a=25, b=475, c=120, d=9380).estimate, 3)
    3.958
    """
    _check(a=a, b=b, c=c, d=d)
    if a + b == 0 or c == 0:
        return UNDEFINED
    ratio = (a / (a + b)) / (c / (c + d))
    if a == 0:
        return Interval(ratio, None, None)
    return _log_normal(ratio, math.sqrt(max(0.0, 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))))


def ror(*, a: float, b: float, c: float, d: float) -> Interval:
    """Reporting odds ratio ad/bc with Woolf's (Wald) interval on the log scale.

    Undefined (None) if b or c is 0. If a or d is 0 the estimate is 0.0 and has no bounds.
    Source: Woolf, Ann Hum Genet 1955;19:251; epiR `epi.2by2`. (Fisher's exact interval, which DiAna prints, is wider.)
    """
    _check(a=a, b=b, c=c, d=d)
    if b == 0 or c == 0:
        return UNDEFINED
    ratio = (a * d) / (b * c)
    if ratio == 0:
        return Interval(ratio, None, None)
    return _log_normal(ratio, math.sqrt(1 / a + 1 / b + 1 / c + 1 / d))


def chi_squared(*, a: float, b: float, c: float, d: float, yates: bool = False) -> float | None:
    """Pearson's chi-squared with one degree of freedom; with `yates` continuity-corrected as R's `chisq.test` does.

    None if a row or a column is empty.
    """
    _check(a=a, b=b, c=c, d=d)
    total = a + b + c + d
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return None
    distance = abs(a * d - b * c)
    if yates:
        distance -= min(total / 2, distance)
    return total * distance * distance / margins


def evans(*, a: float, b: float, c: float, d: float) -> bool | None:
    """Evans' rule: PRR >= 2, chi-squared (uncorrected, as published) >= 4, at least 3 cases. None if undefined."""
    ratio = prr(a=a, b=b, c=c, d=d).estimate
    chi2 = chi_squared(a=a, b=b, c=c, d=d)
    if ratio is None or chi2 is None:
        return None
    return ratio >= 2 and chi2 >= 4 and a >= 3


def lrt_poisson(*, n: float, expected: float) -> float | None:
    """Log likelihood ratio of a Poisson count above its expectation: n log(n/E) - (n - E).

    0.0 at n = 0 would be wrong; it is E there (the limit). None if E <= 0. Two-sided: also positive below expectation.
    Source: Chakraborty et al., Stat Methods Med Res 2022 (pvLRT).
    """
    if n < 0 or not math.isfinite(n):
        raise ValueError(f"n must be a count >= 0, got {n!r}")
    if expected <= 0:
        return None
    return (n * math.log(n / expected) if n > 0 else 0.0) - (n - expected)


def lrt_huang(*, a: float, b: float, c: float, d: float) -> float | None:
    """Huang's likelihood-ratio score of an event among a drug's reports, 0.0 where it is not above expectation.

    a log(a/E) + b log(b / (a + b - E)) with E = (a+b)(a+c)/N. None if the drug or event margin is empty, or all cases
    have the event. Source: Huang, Zalkikar, Tiwari, J Am Stat Assoc 2011;106:1230.
    """
    _check(a=a, b=b, c=c, d=d)
    drug, event, total = a + b, a + c, a + b + c + d
    if drug == 0 or event == 0 or event == total:
        return None
    expected = drug * event / total
    if a <= expected:
        return 0.0
    return a * math.log(a / expected) + (b * math.log(b / (drug - expected)) if b > 0 else 0.0)
