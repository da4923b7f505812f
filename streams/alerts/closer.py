"""Closes buckets: reads what a close is computed from, has it computed, and writes the result.

Several workers may try at once. Each computes the same result and one commits it; the others' attempts are void. To
spare them the work, a worker that did not make the last close waits a moment before it takes over.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import structlog

from streams.alerts.assembly import Assembly, PairCase, pair_cases, with_versions
from streams.alerts.late import late_pairs, with_late_cases
from streams.alerts.record import Case, followed_up, sealed
from streams.alerts.rules import Judged, RuleDesk
from streams.detect.alarms import PairKey
from streams.detect.close import CloseDelta, Detector, Evaluation
from streams.detect.contribution import Contribution
from streams.detect.rule import rule_of
from streams.detect.totals import BucketTotals
from streams.events import Alert, decode_alert, encode
from streams.monitors import Monitor
from streams.signals.gps import Prior
from streams.state.bound import Closing
from streams.state.followups import FollowUp
from streams.state.parts import CloseResult
from streams.state.store import Store

__all__ = ["Closed", "Closer"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Closed:
    """A close that was committed."""

    bucket: int
    cases: int
    alerts: tuple[Alert, ...]


class Closer:
    """Closes the due buckets of one monitor, one at a time. Keeps the alarm state in memory from close to close."""

    def __init__(self, monitor: Monitor, store: Store, *, vocabulary: str) -> None:
        self.monitor = monitor
        self.store = store
        self.vocabulary = vocabulary
        self.rule = rule_of(monitor)
        self.rules = RuleDesk(monitor, store, vocabulary=vocabulary) if monitor.rules.any_on else None
        self._detector: Detector | None = None
        self._raised: dict[str, Alert] | None = None

    @property
    def at(self) -> int | None:
        """The close after which the alarm state in memory is valid; None if there is none in memory."""
        return None if self._detector is None else self._detector.memory.closed

    @property
    def holds_state(self) -> bool:
        """Whether alarm state is in memory."""
        return self._detector is not None

    def forget(self) -> None:
        """Drop what is in memory; the next close starts from Redis."""
        self._detector = self._raised = None
        if self.rules is not None:
            self.rules.forget()

    def detector(self, closed: int | None) -> Detector | None:
        """The alarm state after the close of `closed`, from memory or from Redis; None if Redis is past it."""
        if self._detector is None or self._detector.memory.closed != closed:
            self.forget()
            self._detector = self._restored(closed)
        return self._detector

    def _restored(self, closed: int | None) -> Detector | None:
        base = self.store.base()
        if base.closed != closed:
            return None
        totals, terms = self.store.aggregates(closed), self.store.terms(closed)
        if totals is None or terms is None:
            return None
        drugs, events = terms
        return Detector.restore(
            self.rule, memory=base.memo or None, events=events, drugs=drugs, totals=list(totals.values())
        )

    def close_next(self) -> Closed | None:
        """Close the bucket that is due. None if none is, or if another worker or a change of Redis got in between."""
        closing = self.store.closable()
        if closing is None:
            return None
        detector = self.detector(closing.closed)
        entries = self.store.entries(closing)
        if detector is None or entries is None:
            return None
        totals = BucketTotals.of(closing.bucket, entries)
        if not self.load_states(detector, totals):
            return None
        made = self._made(closing, detector, detector.evaluate(totals), entries)
        if made is None:
            return None
        delta, alerts, result, judged = made
        chunks = self.store.chunks(closing, result)
        if not all(self.store.write_chunk(closing, chunk) for chunk in chunks):
            return None
        if not self.store.commit_close(closing, chunks, result):
            self.forget()
            return None
        self._tell_if_outgrown(detector, delta)
        detector.advance(delta)
        if self.rules is not None and judged is not None:
            self.rules.advance(judged)
        if self._raised is not None:
            self._raised.update((alert.id, alert) for alert in alerts)
        self.store.trim(closing.bucket)
        log.debug("bucket closed", bucket=closing.bucket, cases=len(entries), alerts=len(alerts))
        return Closed(closing.bucket, len(entries), tuple(alerts))

    def _tell_if_outgrown(self, detector: Detector, delta: CloseDelta) -> None:
        """An open vocabulary has filled a block: once each time its pairs have about doubled."""
        blocks = delta.memory.blocks
        if 0 < len(detector.memory.blocks) < len(blocks):
            drugs, events = blocks[-1]
            log.warning(
                "vocabulary_outgrown",
                bucket=delta.bucket,
                pairs=drugs * events,
                planned=self.rule.pairs,
                threshold_of_new_pairs=self.rule.threshold * 4.0 ** (len(blocks) - 1),
                advice="pairs known from now on need more evidence; a larger alarms.pairs takes a new monitor name",
            )

    def load_states(self, detector: Detector, totals: BucketTotals) -> bool:
        """Bring the states of the drugs in `totals` into memory; False if Redis went past the close they belong to."""
        missing = detector.missing(totals)
        if missing:
            states = self.store.drug_states(detector.memory.closed, missing)
            if states is None:
                return False
            for drug, blob in states.items():
                if blob is not None:
                    detector.load(drug, blob)
        return True

    def kept_cases(
        self, bucket: int, closed: int | None, pairs: Sequence[PairKey]
    ) -> dict[PairKey, list[PairCase]] | None:
        """Cases of `pairs` in the closed buckets of `bucket`'s reference window; None if Redis is past `closed`."""
        rows = self.store.evidence(closed, pairs, bucket - self.rule.window)
        if rows is None:
            return None
        return {pair: [PairCase.of_row(row) for row in found] for pair, found in rows.items()}

    def _made(
        self, closing: Closing, detector: Detector, evaluation: Evaluation, entries: Sequence[Contribution]
    ) -> tuple[CloseDelta, list[Alert], CloseResult, Judged | None] | None:
        cases = self._cases(closing, evaluation.pairs, entries)
        followups, late = self.store.followups(closing), late_pairs(entries)
        if cases is None or followups is None or ((followups or late) and not self._load_raised(closing.closed)):
            return None
        assembly = Assembly(self.monitor, detector, self.vocabulary)
        verdict = assembly.verdict(evaluation, cases)
        fired = {alert.id: alert for alert in assembly.records(verdict, cases)}
        delta = detector.delta(evaluation, verdict)
        judged = None
        if self.rules is not None:
            versions = [followup.contribution for followup in followups]
            judged = self.rules.close(closing, evaluation.view, entries, versions, delta.memory)
            if judged is None:
                return None
            fired.update((alert.id, alert) for alert in judged.alerts)
        updated = self._with_late_cases(closing, evaluation, entries, late, delta.memory.prior, set(fired))
        if updated is None:
            return None
        fired.update((alert.id, alert) for alert in updated)
        alerts, chain = sealed([*fired.values(), *self._followed_up(closing, followups, set(fired))], closing.chain)
        result = CloseResult(
            drugs={drug: state.encode() for drug, state in delta.states.items()},
            aggregate=delta.totals_blob,
            cases=entries,
            new_drugs=delta.new_drugs,
            new_events=delta.new_events,
            alerts=[(alert.id, encode(alert)) for alert in alerts],
            chain=chain,
            memo=delta.memory_blob,
            followups=() if judged is None else judged.followups,
        )
        return delta, alerts, result, judged

    def _cases(
        self, closing: Closing, pairs: Sequence[PairKey], entries: Sequence[Contribution]
    ) -> dict[PairKey, list[PairCase]] | None:
        if not pairs:
            return {}
        kept = self.kept_cases(closing.bucket, closing.closed, pairs)
        if kept is None:
            return None
        own = pair_cases(closing.bucket, entries, pairs)
        cases = {pair: own[pair] + kept[pair] for pair in own}
        named = {(c.contribution.position[0], c.contribution.case_id) for found in cases.values() for c in found}
        versions = self.store.versions(closing, sorted(named))
        if versions is None:
            return None
        return {pair: with_versions(found, versions) for pair, found in cases.items()}

    def _with_late_cases(
        self,
        closing: Closing,
        evaluation: Evaluation,
        entries: Sequence[Contribution],
        late: Set[PairKey],
        prior: Prior | None,
        fired: Set[str],
    ) -> list[Alert] | None:
        """Revisions of raised alerts whose pairs have a late case among `entries`; None if the attempt is void."""
        alerts = [
            alert
            for alert in (self._raised or {}).values()
            if alert.kind == "signal" and (alert.drug, alert.event) in late and alert.id not in fired
        ]
        cases = self._cases(closing, sorted((alert.drug, alert.event) for alert in alerts), entries)
        if cases is None:
            return None
        limit, width = self.monitor.evidence_limit, self.monitor.bucket_ms
        return [
            with_late_cases(alert, evaluation.view, cases[alert.drug, alert.event], prior, limit=limit, width_ms=width)
            for alert in alerts
        ]

    def _followed_up(self, closing: Closing, followups: Sequence[FollowUp], fired: set[str]) -> list[Alert]:
        """Revisions of raised alerts whose evidence has a case of which a later version arrived in this bucket."""
        if not followups:
            return []
        newest: dict[Case, int] = {}
        for followup in followups:
            case = (followup.contribution.position[0], followup.contribution.case_id)
            newest[case] = max(followup.version, newest.get(case, 0))
        revisions = (
            followed_up(alert, closing.bucket, newest)
            for alert in (self._raised or {}).values()
            if alert.id not in fired
        )
        return [revision for revision in revisions if revision is not None]

    def _load_raised(self, closed: int | None) -> bool:
        """Bring the alerts raised up to the close of `closed` into memory; False if Redis went past it."""
        if self._raised is None:
            records = self.store.raised_alerts(closed)
            if records is None:
                return False
            self._raised = {alert_id: decode_alert(record) for alert_id, record in records.items()}
        return True
