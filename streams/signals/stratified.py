"""Measures of one drug-event pair over strata: age, sex, region, source, period, or any of them crossed.

A crude table mixes groups that report different drugs and different events, and takes their mixture for an association.
Two remedies: pooling the strata's own ratios (Mantel-Haenszel), and comparing with the cases expected within strata,
which also gives the stratified IC and EBGM. Both need every case in exactly one stratum; an unknown value is one too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streams.signals.expected import expected_within_strata
from streams.signals.information import ic_gamma
from streams.signals.tables import MAX_WIDTH, UNDEFINED, Z95, Interval

__all__ = ["Strata", "ic_stratified", "mantel_haenszel_prr", "mantel_haenszel_ror", "mantel_haenszel_test", "strata_of"]

Floats = NDArray[np.float64]

_LEAST = 1e-100  # instead of an empty stratum's 0, which adds 0 to every sum then: its square is a number too


class Strata(NamedTuple):
    """The cells of `tables`, one entry a stratum."""

    a: Floats
    b: Floats
    c: Floats
    d: Floats

    @classmethod
    def of(cls, tables: ArrayLike) -> Strata:
        """From rows of (a, b, c, d). Raises ValueError for what are no counts >= 0."""
        rows = np.asarray(tables, float)
        if rows.ndim != 2 or rows.shape[1] != 4 or not (np.isfinite(rows) & (rows >= 0)).all():
            raise ValueError("need rows of four finite counts >= 0")
        return cls(*rows.T)

    @property
    def expected(self) -> float:
        """Cases with drug and event if these were independent within strata."""
        return expected_within_strata(
            with_drug=(self.a + self.b).tolist(), with_event=(self.a + self.c).tolist(), cases=self.cases.tolist()
        )

    @property
    def cases(self) -> Floats:
        """All cases of each stratum."""
        return self.a + self.b + self.c + self.d


def strata_of(drug: ArrayLike, event: ArrayLike, *by: Sequence[Hashable]) -> Strata:
    """Tables from one entry a case: has it the drug, has it the event, and its value of each variable stratified by.

    Variables are crossed, so `strata_of(drug, event, age, sex)` has a stratum for each pair of values that occurs, in
    the order of first occurrence. None is a value like any other.

    >>> strata_of([1, 1, 0, 0], [1, 0, 1, 0], ["f", "f", "f", None])
    Strata(a=array([1., 0.]), b=array([1., 0.]), c=array([1., 0.]), d=array([0., 1.]))
    """
    with_drug, with_event = np.asarray(drug, bool), np.asarray(event, bool)
    number: dict[tuple[Hashable, ...], int] = {}
    values = zip(*by, strict=True) if by else (() for _ in with_drug)
    index = np.array([number.setdefault(key, len(number)) for key in values], dtype=np.int64)
    if not len(with_drug) == len(with_event) == len(index):
        raise ValueError(f"lengths differ: {len(with_drug)}, {len(with_event)}, {len(index)}")
    cells = (with_drug & with_event, with_drug & ~with_event, ~with_drug & with_event, ~with_drug & ~with_event)
    return Strata(*(np.bincount(index[cell], minlength=len(number)).astype(float) for cell in cells))


def mantel_haenszel_ror(strata: Strata) -> Interval:
    """Common reporting odds ratio, sum(ad/N) / sum(bc/N), with Robins, Breslow and Greenland's interval on logarithms.

    Consistent both for few large strata and for many small ones. Zero cells are harmless as long as both sums are
    above 0; undefined (None) if sum(bc/N) is 0; an estimate of 0.0 has no bounds.
    Source: Mantel, Haenszel, J Natl Cancer Inst 1959;22:719; Robins, Breslow, Greenland, Biometrics 1986;42:311; R's
    `mantelhaen.test`.

    >>> [round(x, 4) for x in mantel_haenszel_ror(Strata.of([[4, 3, 5, 20], [2, 6, 1, 15]]))]
    [5.2174, 1.1976, 22.7292]
    """
    a, b, c, d = strata
    total = np.maximum(strata.cases, _LEAST)
    r, s = a * d / total, b * c / total
    p, q = (a + d) / total, (b + c) / total
    sum_r, sum_s = float(r.sum()), float(s.sum())
    if sum_s == 0:
        return UNDEFINED
    if sum_r == 0:
        return Interval(0.0, None, None)
    variance = (
        float((p * r).sum()) / (2 * sum_r**2)
        + float((p * s + q * r).sum()) / (2 * sum_r * sum_s)
        + float((q * s).sum()) / (2 * sum_s**2)
    )
    return _interval(sum_r / sum_s, variance)


def mantel_haenszel_prr(strata: Strata) -> Interval:
    """Common proportional reporting ratio, sum(a (c+d)/N) / sum(c (a+b)/N), with Greenland and Robins' interval.

    Undefined (None) if the lower sum is 0; an estimate of 0.0 has no bounds.
    Source: Greenland, Robins, Biometrics 1985;41:55; epiR `epi.2by2`.

    >>> [round(x, 4) for x in mantel_haenszel_prr(Strata.of([[4, 3, 5, 20], [2, 6, 1, 15]]))]
    [3.1241, 1.2076, 8.0822]
    """
    a, b, c, d = strata
    total = np.maximum(strata.cases, _LEAST)
    drug, other, event = a + b, c + d, a + c
    upper, lower = float((a * other / total).sum()), float((c * drug / total).sum())
    if lower == 0:
        return UNDEFINED
    if upper == 0:
        return Interval(0.0, None, None)
    spread = float(((drug * other * event - a * c * total) / total**2).sum())
    return _interval(upper / lower, spread / (upper * lower))


def _interval(ratio: float, variance: float) -> Interval:
    width = Z95 * math.sqrt(max(variance, 0.0))
    return Interval(ratio, ratio * math.exp(-width), ratio * math.exp(width) if width < MAX_WIDTH else None)


def mantel_haenszel_test(strata: Strata, *, corrected: bool = True) -> float | None:
    """Mantel-Haenszel chi-squared with one degree of freedom of no association in any stratum.

    (|sum(a - E)| - 1/2)^2 / sum(var), the correction left out on request, and never below 0; None if no stratum varies.
    Source: Mantel, Haenszel 1959; R's `mantelhaen.test`.

    >>> round(mantel_haenszel_test(Strata.of([[4, 3, 5, 20], [2, 6, 1, 15]])), 4)
    3.6616
    """
    a, b, c, d = strata
    total = strata.cases
    known = total > 1
    margins = ((a + b) * (c + d) * (a + c) * (b + d))[known]
    variance = float((margins / (total[known] ** 2 * (total[known] - 1))).sum())
    if variance == 0:
        return None
    distance = abs(float(a.sum()) - strata.expected)
    if corrected:
        distance -= min(0.5, distance)
    return distance**2 / variance


def ic_stratified(strata: Strata) -> Interval:
    """Information component against the cases expected within strata: shrunk, so defined in every table.

    log2((O + 1/2) / (E + 1/2)) with gamma quantiles (`information.ic_gamma`), O and E summed over strata. EBGM is
    stratified the same way: `gps.posterior(n=O, expected=strata.expected, ...)`.
    Source: Hopstadius, Noren, Bate, Edwards, Drug Saf 2008;31:1035.

    >>> [round(x, 4) for x in ic_stratified(Strata.of([[4, 3, 5, 20], [2, 6, 1, 15]]))]
    [0.906, -0.47, 1.8341]
    """
    return ic_gamma(observed=float(strata.a.sum()), expected=strata.expected)
