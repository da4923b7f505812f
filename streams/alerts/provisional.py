"""Provisional alerts: what the open buckets would raise if they were closed with what they hold now.

Each look takes over only the cases that changed since the last one, and proposes what fires and what the single-case
rules find. What was raised before gets none: its next revision comes with a close.

A look must not take longer because there is much that it need not read again. So the open buckets before the last are
closed on a fork of the alarm state that is kept until one of them changes; and of the last bucket only drugs are
evaluated whose cases have changed, and a few others in turn, for what is reported of one drug moves what is expected of
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from streams.alerts.assembly import Assembly, PairCase, pair_cases
from streams.alerts.closer import Closer
from streams.alerts.open_bucket import OpenBucket
from streams.detect.alarms import Firing, PairKey
from streams.detect.close import Detector, Evaluation, Verdict
from streams.detect.reference import ReferenceView
from streams.events import Alert, encode
from streams.rules.finding import Key
from streams.state.store import Store

__all__ = ["Provisional"]

IN_TURN: Final = 16  # drugs without a change that are evaluated again in a look

Made = tuple[int | None, tuple[tuple[int, int], ...], int | None]


@dataclass(frozen=True, eq=False)
class _Ahead:
    """The alarm state with the open buckets but the last closed, and which of the last one's pairs fire on it.

    `made_from`: the close, the buckets ahead of the last with the changes taken over of each, the last ·
    `firing`: by drug, the one evaluated longest ago first.
    """

    made_from: Made
    detector: Detector
    firing: Mapping[str, list[Firing]]


class Provisional:
    """Looks at the open buckets of one monitor, with the alarm state that its closer holds."""

    def __init__(self, closer: Closer) -> None:
        self.closer = closer
        self.store: Store = closer.store
        self._open: dict[int, OpenBucket] = {}
        self._proposed: dict[int, set[Key]] = {}
        self._ahead: _Ahead | None = None
        self._looked_at: int | None = None

    def forget(self) -> None:
        """Begin again from what Redis holds."""
        self._open.clear()
        self._proposed.clear()
        self._ahead = None

    def look(self) -> list[Alert]:
        """Propose what the open buckets would raise; the alerts that were proposed. Empty if nothing has changed.

        An alert is proposed once for a bucket: a second one of the same rank would not be published.
        """
        closed = self.store.base().closed
        changed = self._follow()
        if not self._open or not (changed or closed != self._looked_at or self._ahead is None):
            return []
        before, self._ahead = self._ahead, None  # a look that does not get to its end is done again from the start
        detector = self.closer.detector(closed)
        if detector is None or not all(self.closer.load_states(detector, view.totals) for view in self._open.values()):
            return []
        views = [self._open[b] for b in sorted(self._open) if self._open[b] and (closed is None or b > closed)]
        if not views:
            return []
        ahead = self._closed_ahead(before, detector, views)
        looked = None if ahead is None else self._looked(ahead[0], detector, views)
        if ahead is None or looked is None:
            return []
        alerts = [*ahead[1], *looked[1]]
        if alerts:
            self.store.propose_provisional([(alert.id, alert.bucket, encode(alert)) for alert in alerts])
        for alert in alerts:
            self._proposed.setdefault(alert.bucket, set()).add((alert.kind, alert.drug, alert.event))
        for view in views:
            view.touched.clear()
        self._ahead, self._looked_at = looked[0], closed
        return alerts

    # ------------------------------------------------------------ the open buckets

    def _follow(self) -> bool:
        counted = self.store.open_buckets()
        gone = self._open.keys() - counted.keys()
        for bucket in gone:
            del self._open[bucket]
        self._proposed = {bucket: keys for bucket, keys in self._proposed.items() if bucket in counted}
        differs = bool(gone)
        for bucket in counted:
            view = self._open[bucket] if bucket in self._open else self._opened(bucket)
            changes = self.store.changes(bucket, view.following)
            if changes.following < view.following:
                view = self._opened(bucket)
                changes = self.store.changes(bucket, 0)
            differs |= view.take(changes)
        return differs

    def _opened(self, bucket: int) -> OpenBucket:
        desk = self.closer.rules
        self._open[bucket] = OpenBucket(bucket, None if desk is None else desk.open_facts(bucket))
        self._ahead = None
        return self._open[bucket]

    # ------------------------------------------------------------ what they would raise

    def _closed_ahead(
        self, before: _Ahead | None, closed: Detector, views: list[OpenBucket]
    ) -> tuple[_Ahead, list[Alert]] | None:
        """The state with all of `views` but the last closed, and what those buckets would raise: a new state, or that
        of the look `before` if it still holds, which has raised its own; None if Redis went past `closed`."""
        earlier = tuple((view.number, view.following) for view in views[:-1])
        made_from = closed.memory.closed, earlier, views[-1].number
        if before is not None and before.made_from == made_from:
            return before, []
        detector, alerts = closed.fork(), list[Alert]()
        for n, view in enumerate(views[:-1], start=1):
            evaluation = detector.evaluate(view.totals)
            judged = self._judged(detector, closed, evaluation, views[:n])
            if judged is None:
                return None
            detector.advance(detector.delta(evaluation, judged[0]))
            alerts += judged[1]
        return _Ahead(made_from, detector, {}), alerts

    def _looked(self, ahead: _Ahead, closed: Detector, views: list[OpenBucket]) -> tuple[_Ahead, list[Alert]] | None:
        """The same state with what fires now in the last of `views`, and what that bucket would raise; None if Redis
        went past `closed`."""
        totals, touched = views[-1].totals, views[-1].touched
        due = touched.union(islice(ahead.firing, IN_TURN)) if ahead.firing else totals.drugs.keys()
        evaluation = ahead.detector.evaluate(totals, only=due)
        firing = {drug: fires for drug, fires in ahead.firing.items() if drug not in due}
        firing.update((drug, []) for drug in evaluation.states)
        for fire in evaluation.firing:
            firing[fire.drug].append(fire)
        evaluation = replace(evaluation, firing=[fire for fires in firing.values() for fire in fires])
        judged = self._judged(ahead.detector, closed, self._unproposed(evaluation, closed), views)
        return None if judged is None else (replace(ahead, firing=firing), judged[1])

    def _judged(
        self, detector: Detector, closed: Detector, evaluation: Evaluation, seen: list[OpenBucket]
    ) -> tuple[Verdict, list[Alert]] | None:
        """What is decided of the last of `seen`, and its new alerts; None if Redis went past `closed`."""
        at = closed.memory.closed
        cases = self._cases(at, evaluation.pairs, seen)
        if cases is None:
            return None
        ruled = self._ruled(at, evaluation.view, seen)
        assembly = Assembly(self.closer.monitor, detector, self.closer.vocabulary)
        verdict = assembly.verdict(evaluation, cases)
        fired = (
            alert
            for alert in assembly.records(verdict, cases, provisional=True)
            if self._is_new(alert.bucket, (alert.drug, alert.event), closed)
        )
        return verdict, [*ruled, *fired]

    def _ruled(self, closed: int | None, view: ReferenceView, seen: list[OpenBucket]) -> list[Alert]:
        """What the single-case rules find in the last bucket seen: a designated event can't wait for the close."""
        desk = self.closer.rules
        book = None if desk is None else desk.book(closed)
        if desk is None or book is None:
            return []
        on_top = [open_.facts for open_ in seen if open_.facts is not None]
        return desk.provisional(book, view, on_top, proposed=self._proposed.get(view.bucket, set()))

    def _is_new(self, bucket: int, pair: PairKey, closed: Detector) -> bool:
        return pair not in closed.memory.alerted and ("signal", *pair) not in self._proposed.get(bucket, ())

    def _unproposed(self, evaluation: Evaluation, closed: Detector) -> Evaluation:
        """Without the firing pairs that need no record, but with those a record's status is judged by."""
        new = {f.event for f in evaluation.firing if self._is_new(evaluation.bucket, (f.drug, f.event), closed)}
        return replace(evaluation, firing=[fire for fire in evaluation.firing if fire.event in new])

    def _cases(
        self, closed: int | None, pairs: list[PairKey], seen: list[OpenBucket]
    ) -> dict[PairKey, list[PairCase]] | None:
        if not pairs:
            return {}
        kept = self.closer.kept_cases(seen[-1].number, closed, pairs)
        if kept is None:
            return None
        drugs = {drug for drug, _ in pairs}
        for view in seen:
            for pair, found in pair_cases(view.number, view.cases_with(drugs), pairs).items():
                kept[pair] += found
        return kept
