"""The reference window: totals of the trailing buckets (730 days), kept by adding and subtracting whole buckets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from streams.detect.totals import BucketTotals
from streams.errors import StateConflict
from streams.events import MICRO, Table
from streams.signals.expected import expected_within_strata

__all__ = ["ReferenceView", "ReferenceWindow"]

Counts = NDArray[np.int64]


class ReferenceWindow:
    """Totals over the closed buckets in (last - width, last], rebuildable from those buckets' encoded totals alone.

    `events` is the vocabulary: each event's index, in the order (bucket of first case, name). It outlives the window.
    """

    def __init__(self, *, width: int, strata: int, events: Sequence[str] = ()) -> None:
        self.width, self.strata = width, strata
        self.last: int | None = None
        self.events: list[str] = list(events)
        self.index: dict[str, int] = {event: i for i, event in enumerate(self.events)}
        if len(self.index) != len(self.events):
            raise StateConflict(f"vocabulary names {len(self.events)} events, {len(self.index)} of them distinct")
        self.cases: Counts = np.zeros(strata, np.int64)
        self.drugs: dict[str, Counts] = {}
        self.pairs: dict[str, dict[tuple[int, int], int]] = {}  # drug -> (event, stratum) -> micro
        self._scores: Counts = np.zeros((strata, max(64, len(self.events))), np.int64)
        self._buckets: deque[tuple[int, bytes]] = deque()
        self._decoded: dict[int, BucketTotals] = {}
        self._own: set[str] | None = None  # drugs whose entries no fork shares; None: all

    @classmethod
    def rebuild(cls, *, width: int, strata: int, events: Sequence[str], blobs: Iterable[bytes]) -> ReferenceWindow:
        """The window from the encoded totals of its buckets, in any order. Every event must be in `events`."""
        window = cls(width=width, strata=strata, events=events)
        for totals in sorted(map(BucketTotals.decode, blobs), key=lambda totals: totals.bucket):
            window.advance(totals)
        return window

    def fork(self) -> ReferenceWindow:
        """A window of its own that starts from here. What a drug has is shared until either of them changes it."""
        self._own = set()
        other = copy(self)
        other.events, other.index = list(self.events), dict(self.index)
        other.cases = self.cases.copy()
        other.drugs, other.pairs = dict(self.drugs), dict(self.pairs)
        other._own = set()  # noqa: SLF001 - its own class
        other._scores = self._scores.copy()  # noqa: SLF001
        other._buckets = self._buckets.copy()  # noqa: SLF001
        other._decoded = dict(self._decoded)  # noqa: SLF001
        return other

    def tail(self, width: int) -> ReferenceWindow:
        """A window of its own over the newest of these buckets, with the same vocabulary."""
        other = ReferenceWindow(width=width, strata=self.strata, events=self.events)
        for number, blob in self._buckets:
            if self.last is not None and number > self.last - width:
                other.advance(BucketTotals.decode(blob), blob)
        return other

    @property
    def scores(self) -> Counts:
        """m in micro, shape (strata, events)."""
        return self._scores[:, : len(self.events)]

    def new_events(self, totals: BucketTotals) -> tuple[str, ...]:
        """Events of `totals` that the vocabulary lacks, sorted by name: the order in which they get their index."""
        return tuple(sorted(totals.events.keys() - self.index.keys()))

    def extend(self, events: Iterable[str]) -> None:
        """Add events to the vocabulary."""
        for event in events:
            self.index[event] = len(self.events)
            self.events.append(event)
        room = self._scores.shape[1]
        if len(self.events) > room:
            grown = np.zeros((self.strata, max(len(self.events), 2 * room)), np.int64)
            grown[:, :room] = self._scores
            self._scores = grown

    def expiring(self, bucket: int) -> list[BucketTotals]:
        """Totals that are in the window now and fall out of it when `bucket` is closed."""
        limit = bucket - self.width
        result = []
        for number, blob in self._buckets:
            if number > limit:
                break
            if number not in self._decoded:
                self._decoded[number] = BucketTotals.decode(blob)
            result.append(self._decoded[number])
        return result

    def advance(self, totals: BucketTotals, blob: bytes | None = None) -> None:
        """Take in the totals of the next closed bucket and drop what falls out. `blob` saves encoding them again.

        Raises StateConflict if the bucket is not later than the last one.
        """
        if self.last is not None and totals.bucket <= self.last:
            raise StateConflict(f"bucket {totals.bucket} closed after bucket {self.last}")
        expired = self.expiring(totals.bucket)
        for old in expired:
            self._add(old, -1)
            self._buckets.popleft()
        self._decoded.clear()
        self._add(totals, 1)
        self._buckets.append((totals.bucket, totals.encode() if blob is None else blob))
        self.last = totals.bucket

    def _add(self, totals: BucketTotals, sign: int) -> None:
        self.extend(self.new_events(totals))
        for stratum, n in totals.cases.items():
            self.cases[stratum] += sign * n
        self._part(totals.drugs)
        for drug, cells in totals.drugs.items():
            row = self.drugs.setdefault(drug, np.zeros(self.strata, np.int64))
            for stratum, n in cells.items():
                row[stratum] += sign * n
            if not row.any():
                del self.drugs[drug]
        for event, cells in totals.events.items():
            column = self.index[event]
            for stratum, micro in cells.items():
                self._scores[stratum, column] += sign * micro
        for drug, by_event in totals.pairs.items():
            amounts = self.pairs.setdefault(drug, {})
            for event, cells in by_event.items():
                for stratum, micro in cells.items():
                    key = (self.index[event], stratum)
                    amounts[key] = amounts.get(key, 0) + sign * micro
                    if amounts[key] == 0:
                        del amounts[key]
            if not amounts:
                del self.pairs[drug]

    def _part(self, drugs: Iterable[str]) -> None:
        """Make the entries of `drugs` this window's own before they are changed."""
        if self._own is None:
            return
        for drug in drugs:
            if drug not in self._own:
                self._own.add(drug)
                if drug in self.drugs:
                    self.drugs[drug] = self.drugs[drug].copy()
                if drug in self.pairs:
                    self.pairs[drug] = dict(self.pairs[drug])

    def view(self, totals: BucketTotals) -> ReferenceView:
        """The window as it will be once `totals` is closed, without changing it."""
        return ReferenceView(self, totals)


class ReferenceView:
    """The window including one more bucket, closed or still open. Column `size` is the event that was never seen."""

    def __init__(self, window: ReferenceWindow, totals: BucketTotals) -> None:
        self.bucket = totals.bucket
        self.totals = totals
        self.new_events = window.new_events(totals)
        self.events = [*window.events, *self.new_events] if self.new_events else window.events
        self.size = len(self.events)
        self._window = window
        self._new_index = {event: len(window.events) + i for i, event in enumerate(self.new_events)}
        self._changes = [(totals, 1), *((old, -1) for old in window.expiring(totals.bucket))]
        self.cases: Counts = window.cases.copy()
        self.scores: Counts = np.zeros((window.strata, self.size + 1), np.int64)
        self.scores[:, : len(window.events)] = window.scores
        for change, sign in self._changes:
            for stratum, n in change.cases.items():
                self.cases[stratum] += sign * n
            for event, cells in change.events.items():
                column = self.index(event)
                for stratum, micro in cells.items():
                    self.scores[stratum, column] += sign * micro

    def index(self, event: str) -> int:
        """Index of an event, also of one that this bucket brings; `size` for one that no counted case has named."""
        found = self._window.index.get(event)
        return self._new_index.get(event, self.size) if found is None else found

    def drug_cases(self, drug: str) -> Counts:
        """n per stratum over the window."""
        row = self._window.drugs.get(drug)
        result: Counts = np.zeros(self._window.strata, np.int64) if row is None else row.copy()
        for change, sign in self._changes:
            for stratum, n in change.drugs.get(drug, {}).items():
                result[stratum] += sign * n
        return result

    def drug_scores(self, drug: str) -> Counts:
        """S in micro over the window, shape (strata, size + 1)."""
        result: Counts = np.zeros((self._window.strata, self.size + 1), np.int64)
        for (column, stratum), micro in self._window.pairs.get(drug, {}).items():
            result[stratum, column] = micro
        for change, sign in self._changes:
            for event, cells in change.pairs.get(drug, {}).items():
                column = self.index(event)
                for stratum, micro in cells.items():
                    result[stratum, column] += sign * micro
        return result

    def table(self, drug: str, event: str) -> Table:
        """The pair's two-by-two table over the window, and its expectation within strata.

        In a text a drug and an event may stand in one case without being a pair; such a case is in b by its drug and
        in c by its event. Where that leaves less than nothing for d, d is 0.
        """
        column = self.index(event)
        old = self._window.pairs.get(drug, {})
        pair = sum(old.get((column, stratum), 0) for stratum in range(self._window.strata))
        for change, sign in self._changes:
            pair += sign * sum(change.pairs.get(drug, {}).get(event, {}).values())
        n, m = self.drug_cases(drug), self.scores[:, column]
        with_drug, with_event, cases = (int(x.sum()) for x in (n * MICRO, m, self.cases * MICRO))
        return Table(
            a=pair / MICRO,
            b=max(0, with_drug - pair) / MICRO,
            c=max(0, with_event - pair) / MICRO,
            d=max(0, cases - with_drug - with_event + pair) / MICRO,
            expected=expected_within_strata(
                with_drug=n.tolist(), with_event=[x / MICRO for x in m.tolist()], cases=self.cases.tolist()
            ),
        )
