"""Provisional alerts: what the open buckets would raise if they were closed with what they hold now.

Each look takes over only the cases that changed since the last one, closes the open buckets in order on a copy of the
alarm state, and proposes what fires and what the single-case rules find. What was raised before gets none: its next
revision comes with a close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from streams.alerts.assembly import Assembly, PairCase, pair_cases
from streams.alerts.closer import Closer
from streams.detect.alarms import PairKey
from streams.detect.close import Detector, Evaluation
from streams.detect.contribution import Contribution
from streams.detect.reference import ReferenceView
from streams.detect.totals import BucketTotals
from streams.events import Alert, encode
from streams.rules.finding import Key
from streams.state.store import Store

__all__ = ["Provisional"]


@dataclass
class _OpenBucket:
    """Counted cases of an open bucket, followed change by change."""

    totals: BucketTotals
    following: int = 0
    cases: dict[str, Contribution] = field(default_factory=dict)

    def take(self, changed: dict[str, Contribution | None]) -> bool:
        """Take over changes; whether anything differs now."""
        before = len(self.cases)
        differs = False
        for position, contribution in changed.items():
            old = self.cases.pop(position, None)
            if old is not None:
                self.totals.remove(old)
            if contribution is not None:
                self.cases[position] = contribution
                self.totals.add(contribution)
            differs |= old != contribution
        return differs or len(self.cases) != before


class Provisional:
    """Looks at the open buckets of one monitor, with the alarm state that its closer holds."""

    def __init__(self, closer: Closer) -> None:
        self.closer = closer
        self.store: Store = closer.store
        self._open: dict[int, _OpenBucket] = {}
        self._proposed: set[tuple[int, Key]] = set()
        self._looked_at: int | None = None

    def forget(self) -> None:
        """Begin again from what Redis holds."""
        self._open.clear()
        self._proposed.clear()

    def look(self) -> list[Alert]:
        """Propose what the open buckets would raise; the alerts that were proposed. Empty if nothing has changed.

        An alert is proposed once for a bucket: a second one of the same rank would not be published.
        """
        closed = self.store.base().closed
        changed = self._follow()
        if not self._open or not (changed or closed != self._looked_at):
            return []
        detector = self.closer.detector(closed)
        if detector is None or not all(self.closer.load_states(detector, view.totals) for view in self._open.values()):
            return []
        alerts = list(self._fired(detector))
        self._looked_at = closed
        if alerts:
            self.store.propose_provisional([(alert.id, alert.bucket, encode(alert)) for alert in alerts])
            self._proposed.update((alert.bucket, (alert.kind, alert.drug, alert.event)) for alert in alerts)
        return alerts

    def _follow(self) -> bool:
        counted = self.store.open_buckets()
        gone = self._open.keys() - counted.keys()
        for bucket in gone:
            del self._open[bucket]
        self._proposed = {(bucket, key) for bucket, key in self._proposed if bucket in counted}
        differs = bool(gone)
        for bucket in counted:
            view = self._open.get(bucket)
            if view is None:
                view = self._open[bucket] = _OpenBucket(BucketTotals(bucket))
            total, changed = self.store.changes(bucket, view.following)
            if total < view.following:
                view = self._open[bucket] = _OpenBucket(BucketTotals(bucket))
                total, changed = self.store.changes(bucket, 0)
            view.following = total
            differs |= view.take(changed)
        return differs

    def _fired(self, closed: Detector) -> Iterator[Alert]:
        detector, at = closed.fork(), closed.memory.closed
        views = [self._open[b] for b in sorted(self._open) if self._open[b].cases and (at is None or b > at)]
        for n, view in enumerate(views, start=1):
            evaluation = detector.evaluate(view.totals)
            yield from self._ruled(at, evaluation.view, views[:n])
            if n == len(views):
                evaluation = self._unproposed(evaluation, closed)
            cases = self._cases(view.totals.bucket, at, evaluation.pairs, views[:n])
            if cases is None:
                return
            assembly = Assembly(self.closer.monitor, detector, self.closer.vocabulary)
            verdict = assembly.verdict(evaluation, cases)
            for alert in assembly.records(verdict, cases, provisional=True):
                if self._is_new(alert.bucket, (alert.drug, alert.event), closed):
                    yield alert
            if n < len(views):
                detector.advance(detector.delta(evaluation, verdict))

    def _ruled(self, closed: int | None, view: ReferenceView, seen: list[_OpenBucket]) -> Iterator[Alert]:
        """What the single-case rules find in the last bucket seen: a designated event can't wait for the close."""
        desk = self.closer.rules
        book = None if desk is None else desk.book(closed)
        if desk is None or book is None:
            return
        on_top = [book.facts(open_.totals.bucket, open_.cases.values()) for open_ in seen]
        for alert in desk.provisional(book, view, on_top):
            if (alert.bucket, (alert.kind, alert.drug, alert.event)) not in self._proposed:
                yield alert

    def _is_new(self, bucket: int, pair: PairKey, closed: Detector) -> bool:
        return pair not in closed.memory.alerted and (bucket, ("signal", *pair)) not in self._proposed

    def _unproposed(self, evaluation: Evaluation, closed: Detector) -> Evaluation:
        """Without the firing pairs that need no record, but with those a record's status is judged by."""
        new = {f.event for f in evaluation.firing if self._is_new(evaluation.bucket, (f.drug, f.event), closed)}
        return replace(evaluation, firing=[fire for fire in evaluation.firing if fire.event in new])

    def _cases(
        self, bucket: int, closed: int | None, pairs: list[PairKey], seen: list[_OpenBucket]
    ) -> dict[PairKey, list[PairCase]] | None:
        kept = self.closer.kept_cases(bucket, closed, pairs) if pairs else {}
        if kept is None:
            return None
        for view in seen if pairs else ():
            for pair, found in pair_cases(view.totals.bucket, view.cases.values(), pairs).items():
                kept[pair] += found
        return kept
