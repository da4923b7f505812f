"""Provisional alerts: what the open buckets would raise if they were closed with what they hold now.

Each look takes over only the cases that changed since the last one, closes the open buckets in order on a copy of the
alarm state, and proposes what fires. A pair that was raised before gets none: its next revision comes with a close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.alerts.assembly import Assembly, PairCase, pair_cases
from streams.alerts.closer import Closer
from streams.detect.alarms import PairKey
from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.totals import BucketTotals
from streams.events import Alert, encode
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
        self._looked_at: int | None = None

    def forget(self) -> None:
        """Begin again from what Redis holds."""
        self._open.clear()

    def look(self) -> list[Alert]:
        """Propose what the open buckets would raise; the alerts that were proposed. Empty if nothing has changed."""
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
        return alerts

    def _follow(self) -> bool:
        counted = self.store.open_buckets()
        gone = self._open.keys() - counted.keys()
        for bucket in gone:
            del self._open[bucket]
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
        detector = closed.fork()
        at = closed.memory.closed
        seen: list[_OpenBucket] = []
        for bucket in sorted(self._open):
            view = self._open[bucket]
            if not view.cases or (at is not None and bucket <= at):
                continue
            seen.append(view)
            evaluation = detector.evaluate(view.totals)
            cases = self._cases(bucket, at, evaluation.pairs, seen)
            if cases is None:
                return
            assembly = Assembly(self.closer.monitor, detector, self.closer.vocabulary)
            verdict = assembly.verdict(evaluation, cases)
            for alert in assembly.records(verdict, cases, provisional=True):
                if (alert.drug, alert.event) not in closed.memory.alerted:
                    yield alert
            detector.advance(detector.delta(evaluation, verdict))

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
