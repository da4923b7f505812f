"""Rates of a drug, or of a drug with an event, in trailing windows of whole buckets. Pure.

Counts are integers (cases, and sums of scores in micro), so a window's rate is that of a recount of its cases, whatever
order they came in. Intervals: Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936) 437-442.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from msgspec import Struct
from scipy.special import gammaincinv

from streams.detect.totals import BucketTotals
from streams.events import MICRO

__all__ = ["DAY_MS", "WINDOW_DAYS", "Counts", "Estimate", "PairRate", "Rate", "poisson", "rate_of", "window_counts"]

DAY_MS = 86_400_000
WINDOW_DAYS = {"day": 1, "week": 7, "month": 30, "6months": 182}  # and "reference", as long as the monitor's


class Estimate(Struct, frozen=True):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


class PairRate(Struct, frozen=True):
    """A drug with an event: sums of probabilities for an event read in text, numbers of cases for a coded one.

    `expected`: under independence within strata · `relative`: cases / expected (the relative reporting rate), with the
    expected taken as known; None where nothing is expected.
    """

    event_cases: float
    cases: float
    per_day: Estimate
    expected: float
    relative: Estimate | None


class Rate(Struct, frozen=True):
    """Reports of a window. Buckets [first, last]; `days` is less than the window's where the log is younger.

    `reports`: all of the monitor's counted cases · `drug_cases`: those with the drug · `share`: of all reports, None
    without any · `per_day`: cases with the drug.
    """

    window: str
    first: int
    last: int
    days: float
    reports: int
    drug_cases: int
    share: float | None
    per_day: Estimate
    pair: PairRate | None = None


@dataclass
class Counts:
    """N, n, m and S of some buckets, by stratum; m and S in micro."""

    cases: Counter[int] = field(default_factory=Counter)
    drug: Counter[int] = field(default_factory=Counter)
    event: Counter[int] = field(default_factory=Counter)
    pair: Counter[int] = field(default_factory=Counter)

    def add(self, totals: BucketTotals, drug: str, event: str | None) -> None:
        """Add a bucket."""
        self.cases.update(totals.cases)
        self.drug.update(totals.drugs.get(drug, ()))
        if event is not None:
            self.event.update(totals.events.get(event, ()))
            self.pair.update(totals.pairs.get(drug, {}).get(event, ()))

    def copy(self) -> Counts:
        """The same, on its own."""
        return Counts(Counter(self.cases), Counter(self.drug), Counter(self.event), Counter(self.pair))

    def expected(self) -> float:
        """Cases of the pair if drug and event were independent within strata."""
        return sum(self.drug[s] * (self.event[s] / MICRO) / self.cases[s] for s in sorted(self.cases) if self.cases[s])


def window_counts(
    totals: Iterable[BucketTotals], last: int, lengths: Mapping[str, int], drug: str, event: str | None
) -> Iterator[tuple[str, int, Counts]]:
    """(name, first bucket, counts) of each window of `lengths` buckets that ends with bucket `last`, shortest first."""
    newest = sorted((t for t in totals if t.bucket <= last), key=lambda t: -t.bucket)
    counts, i = Counts(), 0
    for name, length in sorted(lengths.items(), key=lambda item: item[1]):
        first = last - length + 1
        while i < len(newest) and newest[i].bucket >= first:
            counts.add(newest[i], drug, event)
            i += 1
        yield name, first, counts.copy()


def rate_of(window: str, first: int, last: int, days: float, counts: Counts, event: str | None) -> Rate:
    """The rate of a window that covers so many days."""
    reports, cases = counts.cases.total(), counts.drug.total()
    pair = None
    if event is not None:
        score, expected = counts.pair.total() / MICRO, counts.expected()
        pair = PairRate(
            event_cases=counts.event.total() / MICRO,
            cases=score,
            per_day=poisson(score, days),
            expected=expected,
            relative=poisson(score, expected) if expected > 0 else None,
        )
    share = cases / reports if reports else None
    return Rate(window, first, last, days, reports, cases, share, poisson(cases, days), pair)


def poisson(count: float, exposure: float) -> Estimate:
    """`count` per unit of `exposure` (> 0), with Garwood's exact 95% interval.

    The bounds are quantiles of gamma distributions of shape `count` and `count` + 1, so a sum of probabilities may
    stand for a number of cases; the interval then treats it as if it were one.

    >>> poisson(5, 1)  # doctest: +ELLIPSIS
    Estimate(value=5.0, low=1.623..., high=11.668...)
    """
    low = float(gammaincinv(count, 0.025)) if count > 0 else 0.0
    return Estimate(count / exposure, low / exposure, float(gammaincinv(count + 1, 0.975)) / exposure)
