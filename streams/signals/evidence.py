"""The usual measures of a pair, beside the rule that decides: for readers who know them, never for the decision."""

from __future__ import annotations

from streams.signals.exact import relative_reporting_ratio, ror_fisher
from streams.signals.gps import Prior, ebgm, posterior, quantile
from streams.signals.information import ic_gamma, ic_noren
from streams.signals.rounding import round_published
from streams.signals.tables import UNDEFINED, Interval, chi_squared, prr, ror

__all__ = ["MEASURES", "measures"]

MEASURES = (
    *("prr", "prr_lower", "prr_upper", "ror", "ror_lower", "ror_upper"),
    *("ror_fisher", "ror_fisher_lower", "ror_fisher_upper", "chi2", "chi2_yates", "rrr", "rrr_lower", "rrr_upper"),
    *("ic", "ic025", "ic975", "ic_noren", "ic025_noren", "ic975_noren", "ebgm", "eb05", "eb95"),
)


def measures(
    *, a: float, b: float, c: float, d: float, expected: float, prior: Prior | None
) -> dict[str, float | None]:
    """PRR, ROR (Woolf, and Fisher's exact one) and chi-squared of the crude table; the rest against `expected`.

    Against `expected`, the cases expected within strata: relative reporting ratio (Garwood), IC (gamma quantiles, and
    Noren's approximation) and EBGM with its 90% interval.
    Every name of `MEASURES` is present; None where a zero cell, an expectation of 0 or a missing prior (before the
    first fit) leaves it undefined, and Fisher's interval where events read in text make no whole counts. Rounded to 12
    significant digits.
    """
    proportional = prr(a=a, b=b, c=c, d=d)
    odds = ror(a=a, b=b, c=c, d=d)
    fisher = _fisher(a, b, c, d)
    relative = relative_reporting_ratio(observed=a, expected=expected)
    information = (*ic_gamma(observed=a, expected=expected), *ic_noren(observed=a, expected=expected))
    shrunken: tuple[float | None, ...] = (None, None, None)
    if prior is not None and expected > 0:
        post = posterior(n=a, expected=expected, prior=prior)
        shrunken = (ebgm(post), quantile(post, 0.05), quantile(post, 0.95))
    chi2 = (chi_squared(a=a, b=b, c=c, d=d), chi_squared(a=a, b=b, c=c, d=d, yates=True))
    values = (*proportional, *odds, *fisher, *chi2, *relative, *information, *shrunken)
    return {name: round_published(value) for name, value in zip(MEASURES, values, strict=True)}


def _fisher(a: float, b: float, c: float, d: float) -> Interval:
    if any(x != int(x) for x in (a, b, c, d)):
        return UNDEFINED
    return ror_fisher(a=int(a), b=int(b), c=int(c), d=int(d))
