"""Information component: how many doublings the observed count is above the expected one, shrunk towards none."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import digamma, gammaincinv, polygamma

from streams.signals.tables import Z95, Interval

_LOG2 = math.log(2)
_QUANTILES = (0.5, 0.025, 0.975)


def _check(*, observed: float, expected: float) -> None:
    if not (math.isfinite(observed) and observed >= 0):
        raise ValueError(f"observed must be a count >= 0, got {observed!r}")
    if not (math.isfinite(expected) and expected >= 0):
        raise ValueError(f"expected must be >= 0, got {expected!r}")


def ic_gamma(*, observed: float, expected: float) -> Interval:
    """IC = log2((O + 1/2) / (E + 1/2)), bounds from gamma quantiles: log2 of those of Gamma(O + 1/2, rate E + 1/2).

    Always defined, for the prior keeps it so: with O = 0 the lower bound is very low, with E = 0 the IC is finite.
    Source: Noren, Hopstadius, Bate, Stat Methods Med Res 2013;22:57; the convention of UMC's pvda and vigicaen.

    >>> [round(x, 4) for x in ic_gamma(observed=12, expected=5)]
    [1.1844, 0.2542, 1.8856]
    """
    _check(observed=observed, expected=expected)
    shape, rate = observed + 0.5, expected + 0.5
    lower, upper = (math.log2(gammaincinv(shape, q) / rate) for q in _QUANTILES[1:])
    return Interval(math.log2(shape / rate), lower, upper)


def ic_noren(*, observed: float, expected: float) -> Interval:
    """The same IC with Noren's approximate bounds: IC - 3.3 (O+1/2)^-1/2 - 2 (O+1/2)^-3/2, and + 2.4, - 0.5 above.

    Source: the appendix of Noren, Hopstadius, Bate 2013; the convention of DiAna. Differs from `ic_gamma` at small O.
    """
    _check(observed=observed, expected=expected)
    shape = observed + 0.5
    ic = math.log2(shape / (expected + 0.5))
    return Interval(ic, ic - 3.3 * shape**-0.5 - 2 * shape**-1.5, ic + 2.4 * shape**-0.5 - 0.5 * shape**-1.5)


class Bcpnn(NamedTuple):
    """Posterior of the information component in the BCPNN model: mean and variance in bits, 2.5% point."""

    mean: float
    variance: float
    lower: float


def bcpnn_gould(*, a: float, with_drug: float, with_event: float, cases: float) -> Bcpnn:
    """BCPNN in closed form with beta priors (Gould's): mean and variance of the IC, normal bound.

    `with_drug` = a + b, `with_event` = a + c, `cases` = N. Source: Gould, Pharmacoepidemiol Drug Saf 2003;12:559 as
    in PhViD 1.0.8 `BCPNN(MC = FALSE)`. Raises ValueError if the margins can't hold `a`.
    """
    if not 0 <= a <= min(with_drug, with_event) <= max(with_drug, with_event) <= cases or cases <= 0:
        raise ValueError(f"no table has a={a}, with_drug={with_drug}, with_event={with_event}, cases={cases}")
    p1, p2 = 1.0 + with_drug, 1.0 + cases - with_drug
    q1, q2 = 1.0 + with_event, 1.0 + cases - with_event
    r1 = 1.0 + a
    r2 = cases - a - 1 + (2 + cases) ** 2 / (q1 * p1)
    mean = (digamma(r1) - digamma(r1 + r2) - (digamma(p1) - digamma(p1 + p2) + digamma(q1) - digamma(q1 + q2))) / _LOG2
    variance = sum(polygamma(1, x) - polygamma(1, x + y) for x, y in ((r1, r2), (p1, p2), (q1, q2))) / _LOG2**2
    return Bcpnn(float(mean), float(variance), float(mean - Z95 * math.sqrt(variance)))
