"""How common each value is among the reports that are compared: what makes a hit on a rare one weigh more. Pure.

The table is made once from a fixed set of reports, in any order, and then frozen; its hash names it beside every score.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, combinations, pairwise

import msgspec

from streams.duplicates.report import Report, are_long, likeness, overlap

__all__ = ["BANDS", "Frequencies", "band_of"]

BANDS = (0.1, 0.3, 0.6, 0.9)  # edges of the bands of likeness between two texts or lists of events
DAYS_NEAR = 7  # tolerance of a date
YEARS_NEAR = 1.0  # tolerance of an age
_PRIOR = 5  # reports that the overall share of a term counts for beside those that it goes together with

_FAR = 20  # reports on the same products, so that half of them lie between the two that are compared

Key = tuple[str, str]
Pair = tuple[Report, Report]


def band_of(value: float) -> int:
    """Which band a likeness falls into: 0 for next to none, 4 for nearly the same."""
    return bisect_right(BANDS, value)


class _Scale:
    """Counts of an ordered value, and how many lie around each."""

    def __init__(self, counts: Mapping[float, int], tolerance: float) -> None:
        self.counts, self.tolerance = dict(counts), tolerance
        self._values = sorted(counts)
        self._sums = [0, *accumulate(counts[value] for value in self._values)]
        self._total = max(1, self._sums[-1])
        self.around = lru_cache(maxsize=None)(self._around)

    def share(self, value: float) -> float:
        """The share of known values that are this one."""
        return max(1, self.counts.get(value, 0)) / self._total

    def _around(self, value: float) -> float:
        low = bisect_left(self._values, value - self.tolerance)
        high = bisect_right(self._values, value + self.tolerance)
        return max(1, self._sums[high] - self._sums[low]) / self._total


class Frequencies:
    """Shares of values among `reports`, whose order does not matter. Nothing changes it afterwards.

    `neighbours`: pairs per report that have products, place and day of exposure in common. `text_bands`: shares of
    pairs of strangers in each band of likeness. The others are of neighbours who are certainly two persons:
    `neighbour_text_bands` where a text of the two is short and where both are long, `neighbour_onsets` those whose
    onsets differ, lie within the tolerance, and are the same.
    """

    def __init__(self, reports: Iterable[Report]) -> None:
        ordered = sorted(reports)
        self.reports = len(ordered)
        self.exposure = _scale((r.exposure for r in ordered), DAYS_NEAR)
        self.onset = _scale((r.onset for r in ordered), DAYS_NEAR)
        self.lag = _scale((r.lag for r in ordered), DAYS_NEAR)
        self.age = _scale((r.age for r in ordered), YEARS_NEAR)
        self._sex = Counter(r.sex for r in ordered if r.sex)
        self._region = Counter(r.region for r in ordered if r.region)
        self._sexes, self._regions = max(1, self._sex.total()), max(1, self._region.total())
        self._terms = Counter(term for r in ordered for term in _terms(r))
        self._together = Counter(pair for r in ordered for pair in combinations(_terms(r), 2))
        self._ages = Counter((product, r.age) for r in ordered if r.age is not None for product in r.products)
        self._aged = Counter(product for r in ordered if r.age is not None for product in r.products)
        pairs, neighbours = _neighbours(ordered)
        self.neighbours = pairs / max(1, self.reports)
        self.text_bands = _text_bands(_strangers(ordered))
        self.neighbour_onsets = _onsets(neighbours)
        self.neighbour_text_bands = [
            _text_bands(pair for pair in neighbours if are_long(*pair) == long) for long in (False, True)
        ]
        self.neighbour_event_bands = _event_bands(neighbours)
        self.hash = self._hash()

    def sex(self, value: str) -> float:
        """The share of reports with this sex among those that say one."""
        return max(1, self._sex[value]) / self._sexes

    def region(self, value: str) -> float:
        """The share of reports from this region among those that say one."""
        return max(1, self._region[value]) / self._regions

    def term(self, term: Key) -> float:
        """The share of reports with a term: ("product", name) or ("event", name)."""
        return max(1, self._terms[term]) / max(1, self.reports)

    def chain(self, terms: Sequence[Key], given: Sequence[Key] = ()) -> list[float]:
        """The shares of `terms`, rarest first, each given the one that it goes together with most of those before.

        So a syndrome that is coded as five terms does not count five times, nor what a drug is known for.
        """
        known, shares = list(given), []
        for term in sorted(terms, key=lambda term: (self._terms[term], term)):
            shares.append(max([self.term(term), *(self._given(term, other) for other in known)]))
            known.append(term)
        return shares

    def age_given(self, value: float, products: Sequence[str]) -> float:
        """The share of reports with this age, among those with that one of the products where it is most common."""
        overall = self.age.share(value)
        return max([overall, *((self._ages[p, value] + _PRIOR * overall) / (self._aged[p] + _PRIOR) for p in products)])

    def _given(self, term: Key, other: Key) -> float:
        pair = (term, other) if term < other else (other, term)
        return (self._together[pair] + _PRIOR * self.term(term)) / (self._terms[other] + _PRIOR)

    def _hash(self) -> str:
        scales = [sorted(scale.counts.items()) for scale in (self.exposure, self.onset, self.lag, self.age)]
        terms = [sorted(table.items()) for table in (self._terms, self._together, self._ages)]
        bands = [self.text_bands, self.neighbour_onsets, *self.neighbour_text_bands, self.neighbour_event_bands]
        shares = [sorted(table.items()) for table in (self._sex, self._region)]
        content = [self.reports, self.neighbours, *bands, *shares, *scales, *terms]
        return blake2b(msgspec.json.encode(content), digest_size=8).hexdigest()


def _scale(values: Iterable[float | None], tolerance: float) -> _Scale:
    return _Scale(Counter(value for value in values if value is not None), tolerance)


def _terms(report: Report) -> list[Key]:
    return [("event", event) for event in report.events] + [("product", product) for product in report.products]


def _strangers(ordered: Sequence[Report]) -> list[Pair]:
    """Pairs on the same products that were received far apart, which therefore are different cases.

    Products of few reports are left out: half of five reports away may lie the duplicate itself.
    """
    groups: defaultdict[tuple[str, ...], list[Report]] = defaultdict(list)
    for report in ordered:
        groups[report.products].append(report)
    big = [group for group in groups.values() if len(group) >= _FAR]
    return [(group[i], group[i - len(group) // 2]) for group in big for i in range(len(group))]


def _neighbours(ordered: Sequence[Report]) -> tuple[int, list[Pair]]:
    """How many pairs have products, place and day of exposure in common, and those of them that are two persons."""
    groups: defaultdict[tuple[object, ...], list[Report]] = defaultdict(list)
    for report in ordered:
        if report.exposure is not None and report.region:
            groups[report.exposure, report.region, report.products].append(report)
    pairs = sum(len(group) * (len(group) - 1) // 2 for group in groups.values())
    beside = (pair for group in groups.values() for pair in pairwise(group))
    return pairs, [pair for pair in beside if _two_persons(*pair)]


def _two_persons(one: Report, other: Report) -> bool:
    aged = one.age is not None and other.age is not None and abs(one.age - other.age) > YEARS_NEAR
    return aged or (one.sex != other.sex and bool(one.sex) and bool(other.sex))


def _onsets(pairs: Iterable[Pair]) -> list[float]:
    dated = ((a.onset, b.onset) for a, b in pairs)
    return _shares(((x == y) + (abs(x - y) <= DAYS_NEAR) for x, y in dated if x is not None and y is not None), 3)


def _text_bands(pairs: Iterable[Pair]) -> list[float]:
    return _shares(band_of(likeness(a.sketch, b.sketch)) for a, b in pairs if a.sketch and b.sketch)


def _event_bands(pairs: Iterable[Pair]) -> list[float]:
    return _shares(band_of(overlap(a.events, b.events)) for a, b in pairs if a.events and b.events)


def _shares(bands: Iterable[int], number: int = len(BANDS) + 1) -> list[float]:
    """The share of each band, as if one more pair were in each (Laplace): a sample never says that a thing can't be."""
    found = Counter(bands)
    return [(found[band] + 1) / (found.total() + number) for band in range(number)]
