"""Alerts of the rules beside the signal: what the rules know, brought in from Redis, and what they find as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from streams.alerts.assembly import PairCase, in_windows, pair_cases, with_versions
from streams.alerts.record import alert_id, start_of
from streams.detect.contribution import Contribution
from streams.detect.reference import ReferenceView
from streams.events import MICRO, Alert, State, Versions
from streams.monitors import Monitor
from streams.rules.book import Findings, RuleBook
from streams.rules.finding import ANY_EVENT, Finding, Key, Past
from streams.rules.window import BucketFacts
from streams.signals.gps import Prior
from streams.state.bound import Closing
from streams.state.store import Store

__all__ = ["RULES_VERSION", "Judged", "RuleDesk"]

RULES_VERSION = "rules/1"


class _Raised(msgspec.Struct):
    kind: str
    drug: str
    event: str
    raised_at: str
    decided: int
    cases: int


_decode_raised = msgspec.json.Decoder(_Raised).decode


@dataclass(frozen=True)
class Judged:
    """What the rules make of a bucket that is being closed: findings, and the alerts they are published as."""

    findings: Findings
    alerts: Sequence[Alert]

    @property
    def past(self) -> dict[Key, Past]:
        """What is to be remembered of the alerts."""
        return {(a.kind, a.drug, a.event): Past(a.raised_at, a.decided, a.cases) for a in self.alerts}


class RuleDesk:
    """The rules of one monitor. Keeps their state in memory from close to close, like the closer."""

    def __init__(self, monitor: Monitor, store: Store, *, vocabulary: str) -> None:
        self.monitor = monitor
        self.store = store
        self.vocabulary = vocabulary
        self._book: RuleBook | None = None

    def forget(self) -> None:
        """Drop what is in memory."""
        self._book = None

    def book(self, closed: int | None) -> RuleBook | None:
        """The rules' state after the close of `closed`, from memory or from Redis; None if Redis is past it."""
        if self._book is None or self._book.window.last != closed:
            self._book = self._restored(closed)
        return self._book

    def _restored(self, closed: int | None) -> RuleBook | None:
        records = self.store.raised_alerts(closed)
        if records is None:
            return None
        raised = (_decode_raised(record) for record in records.values())
        book = RuleBook(
            self.monitor,
            {(a.kind, a.drug, a.event): Past(a.raised_at, a.decided, a.cases) for a in raised if a.kind != "signal"},
        )
        if closed is None:
            return book
        for bucket, cases in self.store.closed_cases(closed):
            if cases is None:
                return None
            book.advance(Findings(book.facts(bucket, cases), ()), {})
        return book

    def close(
        self, closing: Closing, view: ReferenceView, entries: Sequence[Contribution], prior: Prior | None
    ) -> Judged | None:
        """What the rules find in the bucket that is being closed; None if Redis went past it. Changes nothing."""
        book = self.book(closing.closed)
        if book is None:
            return None
        facts = book.facts(closing.bucket, entries)
        found = book.single(view, [facts], prior)
        evidence = {finding.key: _situated(finding) for finding in found}
        named = {(c.contribution.position[0], c.contribution.case_id) for cases in evidence.values() for c in cases}
        versions = self.store.versions(closing, sorted(named))
        if versions is None:
            return None
        alerts = [self._alert(finding, with_versions(evidence[finding.key], versions), view) for finding in found]
        return Judged(Findings(facts, found), alerts)

    def advance(self, judged: Judged) -> None:
        """Take over what a committed close has judged."""
        if self._book is not None:
            self._book.advance(judged.findings, judged.past)

    def provisional(self, book: RuleBook, view: ReferenceView, on_top: Sequence[BucketFacts]) -> list[Alert]:
        """What the single-case rules would raise if the open buckets `on_top` were closed; the last is `view`'s."""
        found = book.single(view, on_top, None, new_only=True)
        return [self._alert(finding, _situated(finding), view, provisional=True) for finding in found]

    def _alert(
        self, finding: Finding, cases: Sequence[PairCase], view: ReferenceView, *, provisional: bool = False
    ) -> Alert:
        monitor, bucket = self.monitor, view.bucket
        newest = sorted(
            (case.published() for case in cases), key=lambda c: (-c.received_at, c.topic, c.partition, -c.offset)
        )
        state: State = "provisional" if provisional else "raised" if finding.past is None else "updated"
        models = sorted({case.contribution.model for case in cases if case.contribution.model is not None})
        return Alert(
            id=alert_id(monitor.title, finding.drug, finding.event, finding.kind),
            monitor=monitor.title,
            drug=finding.drug,
            event=finding.event,
            kind=finding.kind,
            level="rule",
            state=state,
            status=finding.status,
            raised_at=start_of(bucket, monitor.bucket_ms) if finding.past is None else finding.past.raised_at,
            bucket=bucket,
            decided=bucket,
            cases=len(newest),
            table=finding.table,
            statistic=finding.statistic,
            threshold=finding.threshold,
            measures=dict(finding.measures),
            evidence=newest[: monitor.evidence_limit],
            evidence_omitted=max(0, len(newest) - monitor.evidence_limit),
            versions=Versions(
                monitor=monitor.settings_hash,
                rule=RULES_VERSION,
                vocabulary=self.vocabulary,
                model=", ".join(models) or None,
                rules=monitor.rules.label,
            ),
            windows=in_windows(bucket, [case.bucket for case in cases], monitor.bucket_ms),
        )


def _situated(finding: Finding) -> list[PairCase]:
    """The finding's cases, with the words that a pair was read from."""
    result: list[PairCase] = []
    for bucket, case in finding.cases or ():
        if finding.event == ANY_EVENT:
            result.append(PairCase(bucket, case, MICRO, None, None))
        else:
            result += pair_cases(bucket, [case], [(finding.drug, finding.event)])[finding.drug, finding.event]
    return result
