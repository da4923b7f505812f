"""Alerts of the rules beside the signal: what the rules know, brought in from Redis, and what they find as records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import msgspec
from msgspec import structs

from streams.alerts.assembly import PairCase, in_windows, pair_cases, with_versions
from streams.alerts.record import alert_id, start_of
from streams.detect.contribution import Contribution
from streams.detect.memory import Memory
from streams.detect.reference import ReferenceView
from streams.detect.rule import RULES_VERSION
from streams.events import MICRO, Alert, State, Table, Versions
from streams.monitors import Monitor
from streams.rules.book import Findings, RuleBook
from streams.rules.finding import ANY_EVENT, Finding, Key, Past
from streams.rules.single import SingleCase
from streams.rules.window import BucketFacts
from streams.signals.rounding import round_published
from streams.state.bound import Closing
from streams.state.store import Store

__all__ = ["Judged", "RuleDesk"]


class _Raised(msgspec.Struct):
    kind: str
    drug: str
    event: str
    raised_at: str
    decided: int
    table: Table

    @property
    def past(self) -> tuple[Key, Past]:
        return (self.kind, self.drug, self.event), Past(self.raised_at, self.decided, self.table.a)


_decode_raised = msgspec.json.Decoder(_Raised).decode


@dataclass(frozen=True)
class Judged:
    """What the rules make of a bucket that is being closed: findings, and the alerts they are published as.

    `followups`: later versions of cases that are to be kept for the rules.
    """

    findings: Findings
    alerts: Sequence[Alert]
    followups: Sequence[Contribution]

    @property
    def past(self) -> dict[Key, Past]:
        """What is to be remembered of the alerts."""
        return {(a.kind, a.drug, a.event): Past(a.raised_at, a.decided, a.table.a) for a in self.alerts}


class RuleDesk:
    """The rules of one monitor. Keeps their state in memory from close to close, like the closer."""

    def __init__(self, monitor: Monitor, store: Store, *, vocabulary: str) -> None:
        self.monitor = monitor
        self.store = store
        self.vocabulary = vocabulary
        self._book: RuleBook | None = None

    def open_facts(self, bucket: int) -> BucketFacts:
        """The facts of an open bucket that has no case yet."""
        rules = self.monitor.rules
        return BucketFacts(bucket, (), rules, SingleCase(rules))

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
        book = RuleBook(self.monitor, dict(alert.past for alert in raised if alert.kind != "signal"))
        if closed is None:
            return book
        for found in self.store.closed_cases(closed):
            if found is None:
                return None
            book.advance(Findings(book.facts(found.bucket, found.counted, found.followups), ()), {})
        return book

    def close(
        self,
        closing: Closing,
        view: ReferenceView,
        entries: Sequence[Contribution],
        followups: Iterable[Contribution],
        memory: Memory,
    ) -> Judged | None:
        """What the rules find in the bucket that is being closed; None if Redis went past it. Changes nothing.

        `followups`: later versions of cases that take effect with it. `memory` is the detector's after the close.
        """
        book = self.book(closing.closed)
        if book is None:
            return None
        first = closing.bucket if memory.first is None else memory.first
        later = [version for version in followups if book.asks_about(version)]
        facts = book.facts(closing.bucket, entries, later)
        found = book.evaluate(view, facts, memory.prior, first=first)
        evidence = self._evidence(closing, found, entries, book)
        if evidence is None:
            return None
        situated = {key: [(c.bucket, c.contribution) for c in cases] for key, cases in evidence.items()}
        settled = (book.settled(f, situated[f.key], bucket=closing.bucket, first=first) for f in found)
        found = [finding for finding in settled if finding is not None]
        named = {(c.contribution.position[0], c.contribution.case_id) for cases in evidence.values() for c in cases}
        versions = self.store.versions(closing, sorted(named))
        if versions is None:
            return None
        alerts = [self._alert(finding, with_versions(evidence[finding.key], versions), view) for finding in found]
        return Judged(Findings(facts, found), alerts, later)

    def _evidence(
        self, closing: Closing, found: Sequence[Finding], entries: Sequence[Contribution], book: RuleBook
    ) -> dict[Key, list[PairCase]] | None:
        """The cases of each finding: its own, or those of its pair that belong to it; of a drug's, the bucket's."""
        pairs = sorted({f.pair for f in found if f.cases is None and f.event != ANY_EVENT})
        rows = self.store.evidence(closing.closed, pairs, closing.bucket - book.window.width)
        if rows is None:
            return None
        own = pair_cases(closing.bucket, entries, pairs)
        kept = {pair: own[pair] + [PairCase.of_row(row) for row in rows[pair]] for pair in pairs}
        return {
            f.key: _situated(f)
            if f.cases is not None
            else [case for case in kept[f.pair] if book.belongs(f, case.contribution)]
            if f.event != ANY_EVENT
            else [PairCase(closing.bucket, case, MICRO, None, None) for case in entries if f.drug in case.drugs]
            for f in found
        }

    def advance(self, judged: Judged) -> None:
        """Take over what a committed close has judged."""
        if self._book is not None:
            self._book.advance(judged.findings, judged.past)

    def provisional(
        self, book: RuleBook, view: ReferenceView, on_top: Sequence[BucketFacts], *, proposed: Set[Key]
    ) -> list[Alert]:
        """What the single-case rules would raise for the first time, but not what is `proposed` already, if the open
        buckets `on_top` were closed; the last is `view`'s."""
        found = book.single(view, on_top, None, without=book.past.keys() | proposed)
        return [self._alert(finding, _situated(finding), view, provisional=True) for finding in found]

    def _alert(
        self, finding: Finding, cases: Sequence[PairCase], view: ReferenceView, *, provisional: bool = False
    ) -> Alert:
        monitor, bucket = self.monitor, view.bucket
        newest = sorted(
            (case.published() for case in cases), key=lambda c: (-c.received_at, c.topic, c.partition, -c.offset)
        )
        partial = finding.count is not None  # the evidence holds some of the cases
        count = len(newest) if finding.count is None else finding.count
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
            cases=count,
            table=structs.replace(finding.table, expected=round_published(finding.table.expected)),
            statistic=finding.statistic,
            threshold=finding.threshold,
            measures=dict(finding.measures),
            evidence=newest[: monitor.evidence_limit],
            evidence_omitted=count - min(len(newest), monitor.evidence_limit),
            versions=Versions(
                monitor=monitor.settings_hash,
                rule=RULES_VERSION,
                vocabulary=self.vocabulary,
                model=", ".join(models) or None,
                rules=monitor.rules.label,
            ),
            windows={} if partial else in_windows(bucket, [case.bucket for case in cases], monitor.bucket_ms),
            detail=dict(finding.detail),
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
