"""The hit-miss model: how much two recorded values speak for one truth behind them. Pure.

Source: G. N. Norén, R. Orre, A. Bate, I. R. Edwards, "Duplicate detection in adverse drug reaction surveillance", Data
Mining and Knowledge Discovery 14 (2007) 305-328, after J. B. Copas and F. J. Hilton, JRSS A 153 (1990) 287-320. A value
is recorded as it is (a hit), replaced by one drawn from the values of all reports (a miss), or left blank. Of an
ordered value (a date, an age) there is also a deviation: it is moved a little.

A weight is log2 of how much more probable two values are if they record one truth than if the reports have nothing to
do with one another. It is in bits; those of independent fields add up. A blank on either side weighs 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log2
from typing import NamedTuple

__all__ = ["Errors", "banded", "discrete", "ordered", "terms", "threshold"]


class Errors(NamedTuple):
    """How often one recorded value, not blank, is a miss, and how often it deviates; the rest are hits."""

    miss: float
    deviation: float = 0.0

    @property
    def pair_hit(self) -> float:
        """Probability that both of two records of one truth are hits."""
        return (1 - self.miss - self.deviation) ** 2

    @property
    def pair_miss(self) -> float:
        """Probability that at least one of two is a miss: Norén's c."""
        return 1 - (1 - self.miss) ** 2

    @property
    def pair_near(self) -> float:
        """Probability that neither is a miss and at least one deviates."""
        return 1 - self.pair_hit - self.pair_miss


def discrete(errors: Errors, share: float | None) -> float:
    """Weight of two equal values that this share of all reports has, or of two different ones (`share` None).

    Equal: log2((1 - c (1 - share)) / share), so a rare value says more. Different: log2(c), whatever they are.

    >>> round(discrete(Errors(0.1), 0.25), 4), round(discrete(Errors(0.1), None), 4)
    (1.7782, -2.3959)
    """
    c = errors.pair_miss
    return log2(c) if share is None else log2((1 - c * (1 - share)) / share)


def ordered(errors: Errors, share: float | None, around: tuple[float, float] | None) -> float:
    """Weight of two values of an ordered field.

    `share`: of all reports, those with this value, if both have it, else None. `around`: the shares of reports within
    the tolerance of the one and of the other value, if they are within the tolerance of one another, else None. A
    deviating value is drawn from the reports within the tolerance, so days without reports (Sundays) attract none.

    >>> errors = Errors(0.1, 0.1)  # 0.64 hit, 0.17 near, 0.19 miss
    >>> [round(ordered(errors, *x), 4) for x in ((0.01, (0.1, 0.1)), (None, (0.1, 0.2)), (None, None))]
    [6.042, 0.5509, -2.3959]
    """
    odds = errors.pair_miss
    if share is not None:
        odds += errors.pair_hit / share
    if around is not None:
        odds += errors.pair_near * (1 / around[0] + 1 / around[1]) / 2  # the mean keeps it symmetric
    return log2(odds)


def terms(errors: Errors, shared: Iterable[float], apart: int) -> float:
    """Weight of two lists: each term is a field that says whether it is listed.

    `shared`: the share of reports for each term that both list (given what was counted before it, where terms go
    together); `apart`: how many terms only one of them lists. Terms that neither lists weigh next to nothing.
    """
    return sum(discrete(errors, share) for share in shared) + apart * log2(errors.pair_miss)


def banded(same: float, random: float) -> float:
    """Weight of a likeness in a band that these shares of duplicates and of unrelated pairs fall into."""
    return log2(same / random)


def threshold(pairs_per_report: float, false_per_report: float) -> float:
    """The least score of a suspect, in bits, at which a report has at most so many false ones on average.

    A score of T bits is a likelihood ratio of 2^T. Under the model an unrelated pair reaches it with a probability of
    at most 2^-T (Markov's inequality: the ratio's mean over unrelated pairs is 1), and a report is compared with
    `pairs_per_report` others. The bound is the model's: fields that go together make true scores higher.

    >>> threshold(1024, 1 / 1024)
    20.0
    """
    return log2(max(pairs_per_report, false_per_report) / false_per_report)
