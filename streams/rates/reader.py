"""Rates from Redis, consistent while buckets close: `RateReader`.

A closed bucket's totals never change, so those that were read once are kept; a read adds the buckets that were closed
since. Everything in one answer is bound to one last closed bucket (`streams.state.bound`); if a close comes in between,
the read begins again and needs only what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from streams.detect.contribution import Contribution
from streams.detect.memory import decode_memory
from streams.detect.totals import BucketTotals
from streams.errors import ConfigurationError, StateConflict
from streams.monitors import Monitor
from streams.rates.counts import DAY_MS, WINDOW_DAYS, Counts, Rate, rate_of, window_counts
from streams.state.reading import Changes
from streams.state.store import Store

__all__ = ["WINDOWS", "RateReader", "Rates"]

WINDOWS = (*WINDOW_DAYS, "reference")
ATTEMPTS = 100


class Rates(Struct, frozen=True):
    """Rates of a drug, or of a drug with an event, in windows that end with bucket `last`.

    `closed`: the last closed bucket, None before the first. `open`: what the buckets hold that are not closed yet; it
    may still change (duplicates, late cases), so it is in no window. None where there is nothing.
    """

    monitor: str
    drug: str
    event: str | None
    closed: int | None
    last: int | None
    windows: list[Rate]
    open: Rate | None


@dataclass
class _Open:
    """An open bucket, followed change by change."""

    totals: BucketTotals
    following: int = 0
    cases: dict[str, Contribution] = field(default_factory=dict)

    def take(self, changes: Changes) -> None:
        for position, contribution in changes.counted.items():
            old = self.cases.pop(position, None)
            if old is not None:
                self.totals.remove(old)
            if contribution is not None:
                self.cases[position] = contribution
                self.totals.add(contribution)
        self.following = changes.following


class RateReader:
    """Reads rates of one monitor. Keep it: a second read takes only what has changed. From one thread, as its store.

    ```python
    reader = RateReader(Store.connect(url, StoreSettings.of(monitor)), monitor)
    for rate in reader.read("RV", "Intussusception").windows:
        print(rate.window, rate.per_day, rate.pair)
    ```
    """

    def __init__(self, store: Store, monitor: Monitor) -> None:
        self._store = store
        self._monitor = monitor
        self._closed: int | None = None
        self._totals: dict[int, BucketTotals] = {}
        self._open: dict[int, _Open] = {}

    def read(
        self, drug: str, event: str | None = None, *, windows: Sequence[str] = WINDOWS, last: int | None = None
    ) -> Rates:
        """Rates in `windows` that end with bucket `last`: the last closed one, or an earlier one that Redis still has.

        Names are as in the log; one that is not there has a rate of 0. Raises ConfigurationError for a `last` that is
        not closed or too old, StateConflict if buckets close faster than can be read, and what the store raises.
        """
        for _ in range(ATTEMPTS):
            base = self._store.base()
            if self._follow(base.closed):
                break
        else:
            raise StateConflict(f"monitor {self._monitor.name}: buckets close too fast to be read")
        first = decode_memory(base.memo).first if base.memo else None
        end = self._end(base.closed, last)
        found = [] if end is None or first is None else list(self._windows(drug, event, windows, end, first))
        opened = self._opened(drug, event) if last is None else None
        return Rates(self._monitor.name, drug, event, base.closed, end, found, opened)

    def names(self) -> tuple[list[str], list[str]]:
        """Drugs and events that closed buckets have named so far."""
        for _ in range(ATTEMPTS):
            found = self._store.terms(self._store.base().closed)
            if found is not None:
                return found
        raise StateConflict(f"monitor {self._monitor.name}: buckets close too fast to be read")

    # ------------------------------------------------------------ what is read

    def _follow(self, closed: int | None) -> bool:
        """Bring what is in memory to the close of `closed`; False if Redis went on meanwhile."""
        if closed is None or (self._closed is not None and closed < self._closed):  # emptied or set back
            self._totals.clear()
            self._open.clear()
        self._closed = closed
        if closed is not None:
            kept = self._store.aggregates(closed, known=self._totals)
            if kept is None:
                return False
            self._totals.update((bucket, BucketTotals.decode(blob)) for bucket, blob in kept.items())
            oldest = closed - self._store.settings.window
            self._totals = {bucket: totals for bucket, totals in self._totals.items() if bucket > oldest}
        self._follow_open()
        return self._store.base().closed == closed

    def _follow_open(self) -> None:
        counted = self._store.open_buckets()
        self._open = {bucket: view for bucket, view in self._open.items() if bucket in counted}
        for bucket, cases in counted.items():
            view = self._open.setdefault(bucket, _Open(BucketTotals(bucket)))
            changes = self._store.changes(bucket, view.following)
            set_back = changes.following < view.following
            if not set_back:
                view.take(changes)
            if set_back or len(view.cases) < cases:  # Redis went back, and on by another way
                view = self._open[bucket] = _Open(BucketTotals(bucket))
                view.take(self._store.changes(bucket, 0))

    # ------------------------------------------------------------ what is counted

    def _end(self, closed: int | None, last: int | None) -> int | None:
        if last is None:
            return closed
        oldest = None if closed is None else closed - self._store.settings.window + 1
        if closed is None or oldest is None or not oldest <= last <= closed:
            kept = "none is" if closed is None else f"buckets {oldest} to {closed} are"
            raise ConfigurationError(f"bucket {last} is not among the closed ones that are kept: {kept}")
        return last

    def _windows(self, drug: str, event: str | None, windows: Sequence[str], last: int, first: int) -> list[Rate]:
        width, reference = self._monitor.bucket_ms, self._store.settings.window
        lengths = {name: max(1, days * DAY_MS // width) for name, days in WINDOW_DAYS.items()}
        wanted = {name: lengths.get(name, reference) for name in windows}
        held = max(first, (self._closed or first) - reference + 1)  # older buckets are trimmed
        rates = []
        for name, begins, counts in window_counts(self._totals.values(), last, wanted, drug, event):
            begin = max(begins, held)
            rates.append(rate_of(name, begin, last, (last - begin + 1) * width / DAY_MS, counts, event))
        return rates

    def _opened(self, drug: str, event: str | None) -> Rate | None:
        buckets = sorted(bucket for bucket, view in self._open.items() if view.cases)
        if not buckets:
            return None
        counts = Counts()
        for bucket in buckets:
            counts.add(self._open[bucket].totals, drug, event)
        days = (buckets[-1] - buckets[0] + 1) * self._monitor.bucket_ms / DAY_MS
        return rate_of("open", buckets[0], buckets[-1], days, counts, event)
