"""A simple close for the protocol test: what the statistics are to the product, a count is here.

A pair alarms at the close in which its counted cases reach `ALARM`, and again with each new case and each follow-up.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
from protocol_oracle import ALARM, WINDOW

from streams.detect.contribution import Contribution
from streams.events import Alert, EvidenceCase, Table, Versions, encode
from streams.state.bound import Closing
from streams.state.followups import FollowUp
from streams.state.parts import CloseResult, EvidenceRow

Total = tuple[int, int | None]  # counted cases of a pair so far, bucket of its first alarm
decode_total = msgspec.msgpack.Decoder(Total).decode


@dataclass
class Memory:
    """Alarm state after the close of `closed`, kept by the worker that made it."""

    closed: int | None
    totals: dict[str, Total]
    window: dict[int, dict[str, int]]
    terms: list[str]


class Made:
    """The pure close of a simple rule: a pair alarms when its cases so far are `ALARM`, and again at each new one."""

    def __init__(self, closing: Closing, memory: Memory, entries: list[Contribution]) -> None:
        self.closing, self.memory, self.entries = closing, memory, entries
        self.new = Counter(case.drugs[0] for case in entries)
        self.totals = dict(memory.totals)
        for pair, n in self.new.items():
            count, first = self.totals.get(pair, (0, None))
            self.totals[pair] = (count + n, first)
        self.cases: dict[str, list[Contribution]] = {pair: [] for pair in self.totals}
        self.alerts: list[Alert] = []

    def gather(self, rows: dict[tuple[str, str], list[EvidenceRow]]) -> None:
        for pair, cases in self.cases.items():
            cases += [row.contribution for row in rows[pair, "event"]]
            cases += [case for case in self.entries if case.drugs[0] == pair]

    def named(self) -> list[tuple[str, str]]:
        return sorted({(case.position[0], case.case_id) for cases in self.cases.values() for case in cases})

    def decide(self, followups: list[FollowUp], versions: dict[tuple[str, str], int]) -> None:
        changed = {(f.contribution.position[0], f.contribution.case_id): f.version for f in followups}
        for pair, (count, first) in sorted(self.totals.items()):
            touched = any(changed.get((c.position[0], c.case_id), 0) > c.version for c in self.cases[pair])
            if count >= ALARM if pair in self.new else first is not None and touched:
                since = self.closing.bucket if first is None else first
                state = "raised" if first is None else "updated"
                self.totals[pair] = (count, since)
                self.alerts.append(an_alert(pair, state, self.closing.bucket, since, self.cases[pair], versions))

    def result(self) -> CloseResult:
        closing, positions = self.closing, [case.position for case in self.entries]
        return CloseResult(
            drugs={p: msgspec.msgpack.encode(self.totals[p]) for p in {*self.new, *(a.drug for a in self.alerts)}},
            aggregate=msgspec.msgpack.encode(self.new),
            cases=self.entries,
            new_drugs=sorted(set(self.new) - set(self.memory.terms)),
            new_events=[] if closing.events else ["event"],
            alerts=[(alert.id, encode(alert)) for alert in self.alerts],
            chain=hashlib.sha256(repr((closing.chain, closing.bucket, positions)).encode()).hexdigest()[:16],
            memo=str(closing.ordinal + 1).encode(),
        )

    def after(self, result: CloseResult) -> Memory:
        bucket = self.closing.bucket
        window = {b: totals for b, totals in self.memory.window.items() if b > bucket - WINDOW}
        terms = [*self.memory.terms, *result.new_drugs]
        return Memory(bucket, self.totals, {**window, bucket: dict(self.new)}, terms)


def an_alert(
    pair: str, state: str, bucket: int, first: int, cases: list[Contribution], versions: dict[tuple[str, str], int]
) -> Alert:
    evidence = [
        EvidenceCase(c.case_id, *c.position, c.received_at, max(c.version, versions.get((c.position[0], c.case_id), 0)))
        for c in sorted(cases, key=lambda c: c.position)
    ]
    return Alert(
        id=f"alert-{pair}", monitor="m", drug=pair, event="event", kind="signal", level="early",
        state=state, status="new", raised_at=str(first), bucket=bucket, decided=bucket, cases=len(cases),  # type: ignore[arg-type]
        table=Table(0, 0, 0, 0, 0), statistic=0.0, threshold=0.0, measures={}, evidence=evidence, evidence_omitted=0,
        versions=Versions("", "", "", None),
    )  # fmt: skip


def shown(alert: Alert) -> dict[str, Any]:
    """What the oracle says of an alert, too."""
    evidence = sorted(((e.topic, e.partition, e.offset), e.version) for e in alert.evidence)
    return {
        "id": alert.id, "state": alert.state, "bucket": alert.bucket, "raised_at": alert.raised_at,
        "cases": alert.cases, "evidence": evidence,
    }  # fmt: skip
