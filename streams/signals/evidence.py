"""The usual measures of a pair, beside the rule that decides: for readers who know them, never for the decision."""

from __future__ import annotations

from streams.signals.gps import Prior, ebgm, posterior, quantile
from streams.signals.information import ic_gamma
from streams.signals.rounding import round_published
from streams.signals.tables import chi_squared, prr, ror

__all__ = ["MEASURES", "measures"]

MEASURES = (
    *("prr", "prr_lower", "prr_upper", "ror", "ror_lower", "ror_upper", "chi2", "chi2_yates"),
    *("ic", "ic025", "ic975", "ebgm", "eb05", "eb95"),
)


def measures(
    *, a: float, b: float, c: float, d: float, expected: float, prior: Prior | None
) -> dict[str, float | None]:
    """PRR, ROR (Woolf) and chi-squared of the crude table; IC (gamma quantiles) and EBGM against `expected`.

    Every name of `MEASURES` is present; None where a zero cell, an expectation of 0 or a missing prior (before the
    first fit) leaves it undefined. Rounded to 12 significant digits.
    """
    proportional = prr(a=a, b=b, c=c, d=d)
    odds = ror(a=a, b=b, c=c, d=d)
    information = ic_gamma(observed=a, expected=expected)
    shrunken: tuple[float | None, ...] = (None, None, None)
    if prior is not None and expected > 0:
        post = posterior(n=a, expected=expected, prior=prior)
        shrunken = (ebgm(post), quantile(post, 0.05), quantile(post, 0.95))
    chi2 = (chi_squared(a=a, b=b, c=c, d=d), chi_squared(a=a, b=b, c=c, d=d, yates=True))
    values = (*proportional, *odds, *chi2, *information, *shrunken)
    return {name: round_published(value) for name, value in zip(MEASURES, values, strict=True)}
