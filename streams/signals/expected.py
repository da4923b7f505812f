"""Expected number of cases of a pair if drug and event were independent within strata."""

from __future__ import annotations

from collections.abc import Sequence


def expected_within_strata(*, with_drug: Sequence[float], with_event: Sequence[float], cases: Sequence[float]) -> float:
    """Sum over strata s of with_drug[s] * with_event[s] / cases[s]; an empty stratum adds nothing.

    Source: Mantel-Haenszel adjustment as DuMouchel, Am Stat 1999;53:177 uses it (openEBGM vignette 2).

    >>> round(expected_within_strata(with_drug=[4, 0, 4, 1], with_event=[2, 1, 5, 1], cases=[5, 1, 9, 2]), 4)
    4.3222
    """
    if not len(with_drug) == len(with_event) == len(cases):
        raise ValueError(f"strata differ: {len(with_drug)}, {len(with_event)}, {len(cases)}")
    return sum(n * m / total for n, m, total in zip(with_drug, with_event, cases, strict=True) if total > 0)
