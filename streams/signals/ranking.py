"""The order in which to look at alerts: strength, novelty, seriousness, recency, completeness, narratives. Pure.

Computed from an alert's own record, so every reader gets the same order. Each term lies between 0 and 1:

| term | from |
|---|---|
| `strength` | 1 - 1/r for the lower bound r of observed over expected, 2^IC025, or a rise's rate ratio; 0 if r <= 1 |
| `novelty` | 1 for `new`, 1/2 for `update`, 0 for what is listed, a bystander or no reaction |
| `seriousness` | share of the evidence that is serious; 1 if a case is fatal |
| `recency` | share of the reference window's cases that came in its last half year |
| `completeness` | k/(k+1) for k cases of vigiGrade completeness 0.8 or more |
| `narratives` | k/(k+1) for k cases with a text |

The predictors are vigiRank's (Caster, Juhlin, Watson, Noren, Drug Saf 2014;37:617: informative reports, recent
reporting, disproportional reporting, narratives; its geographic spread needs countries, which few streams carry), with
novelty and seriousness beside them. Theirs are weighted by a regression on emerging signals; the weights here are set
by hand, so the score is an order to read in and no probability.
"""

from __future__ import annotations

from typing import NamedTuple

from streams.events import Alert

__all__ = ["INFORMATIVE", "WEIGHTS", "Rank", "ranked"]

WEIGHTS = {
    "strength": 0.30,
    "novelty": 0.20,
    "seriousness": 0.20,
    "recency": 0.10,
    "completeness": 0.10,
    "narratives": 0.10,
}
INFORMATIVE = 0.8  # completeness of an informative report, as vigiRank has it
_NOVELTY = {"new": 1.0, "update": 0.5}


class Rank(NamedTuple):
    """The score of an alert, between 0 and 1, and its terms before weighting."""

    score: float
    terms: dict[str, float]


def ranked(alert: Alert) -> Rank:
    """The score of an alert and its terms, rounded to four digits."""
    cases = alert.evidence
    serious = sum(case.serious is True for case in cases) / len(cases) if cases else 0.0
    window = alert.windows.get("reference", 0)
    terms = {
        "strength": _strength(alert),
        "novelty": _NOVELTY.get(alert.status, 0.0),
        "seriousness": 1.0 if any(case.fatal for case in cases) else serious,
        "recency": alert.windows.get("half_year", 0) / window if window else 1.0,
        "completeness": _saturated(sum((case.completeness or 0) >= INFORMATIVE for case in cases)),
        "narratives": _saturated(sum(case.narrative or case.span is not None for case in cases)),
    }
    score = sum(WEIGHTS[name] * value for name, value in terms.items())
    return Rank(round(score, 4), {name: round(value, 4) for name, value in terms.items()})


def _strength(alert: Alert) -> float:
    bits, ratio = alert.measures.get("ic025"), alert.measures.get("rate_ratio")
    lower = ratio if bits is None else 2.0**bits
    return 1 - 1 / lower if lower is not None and lower > 1 else 0.0


def _saturated(number: int) -> float:
    return number / (number + 1)
