"""From an alarm and its cases to the record that is published. Pure: the same log gives the same bytes.

An alert's identity is its monitor, drug, event and kind. The history of all raised and updated alerts is hash-chained
over (closed bucket, alert id, content), so that a revision that was left out, slipped in or changed shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from streams.detect.alarms import Alarm
from streams.detect.contribution import Contribution
from streams.events import MICRO, Alert, EvidenceCase, Span, State, Versions
from streams.identity import alert_id

__all__ = ["alert_id", "case_of", "chained", "followed_up", "record_of", "sealed", "start_of"]

Case = tuple[str, str]  # (source topic, case id)

_canonical = msgspec.json.Encoder(order="sorted").encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def chained(chain: str, alert: Alert) -> str:
    """The history's hash after one more raised or updated alert: SHA-256 of what it was, bucket, id and content.

    The content is the SHA-256 of the record as JSON with sorted keys and `chain` null.
    """
    content = hashlib.sha256(_canonical(msgspec.structs.replace(alert, chain=None))).hexdigest()
    return hashlib.sha256(f"{chain}|{alert.bucket}|{alert.id}|{content}".encode()).hexdigest()


def start_of(bucket: int, width_ms: int) -> str:
    """When a bucket begins, ISO 8601: the day alone if it begins at midnight.

    >>> start_of(10_653, 86_400_000), start_of(1, 3_600_000)
    ('1999-03-03', '1970-01-01T01:00:00Z')
    """
    moment = _EPOCH + timedelta(milliseconds=bucket * width_ms)
    if bucket * width_ms % 86_400_000 == 0:
        return moment.date().isoformat()
    return moment.isoformat().replace("+00:00", "Z")


def case_of(contribution: Contribution, micro: int, drug_span: str | None, event_span: str | None) -> EvidenceCase:
    """One line of evidence. Spans hold the words of drug and effect, never the sentence."""
    topic, partition, offset = contribution.position
    return EvidenceCase(
        case_id=contribution.case_id,
        topic=topic,
        partition=partition,
        offset=offset,
        received_at=contribution.received_at,
        version=contribution.version,
        probability=micro / MICRO,
        late=contribution.late,
        span=Span(drug_span, event_span) if drug_span is not None and event_span is not None else None,
        fuzzy=contribution.fuzzy,
        **_facts(contribution),
    )


def _facts(contribution: Contribution) -> dict[str, Any]:
    """What is known of the case beside its pairs; nothing for a record of an older schema."""
    facts = contribution.facts
    if facts is None:
        return {}
    return {
        "serious": facts.serious,
        "fatal": facts.fatal,
        "age": facts.age,
        "onset_days": facts.onset_days,
        "completeness": facts.completeness / 100,
        "narrative": facts.narrative,
        "lots": tuple(f"{lot.drug}: {lot.lot or '?'} ({lot.manufacturer or '?'})" for lot in facts.lots),
    }


def record_of(
    alarm: Alarm,
    evidence: Sequence[EvidenceCase],
    *,
    monitor: str,
    width_ms: int,
    first: int,
    state: State,
    limit: int,
    versions: Versions,
    windows: dict[str, int],
) -> Alert:
    """The revision that `alarm` makes. `evidence`: all the pair's cases in the reference window; `first`: the bucket
    that first raised the pair, which may be the alarm's own."""
    newest = sorted(evidence, key=lambda c: (-c.received_at, c.topic, c.partition, -c.offset))
    return Alert(
        id=alert_id(monitor, alarm.drug, alarm.event),
        monitor=monitor,
        drug=alarm.drug,
        event=alarm.event,
        kind="signal",
        level=alarm.level,
        state=state,
        status=alarm.status,
        raised_at=start_of(first, width_ms),
        bucket=alarm.bucket,
        decided=alarm.bucket,
        cases=len(newest),
        table=alarm.table,
        statistic=alarm.statistic,
        threshold=alarm.threshold,
        measures=alarm.measures,
        evidence=newest[:limit],
        evidence_omitted=max(0, len(newest) - limit),
        versions=versions,
        windows=windows,
    )


def followed_up(alert: Alert, bucket: int, versions: Mapping[Case, int]) -> Alert | None:
    """The revision that later versions of its cases make of a raised alert, or None if none of them is newer.

    Counts, table and statistic stay those of `alert.decided`: a follow-up changes the evidence, never a count.
    """
    evidence = [
        msgspec.structs.replace(case, version=max(case.version, versions.get((case.topic, case.case_id), 0)))
        for case in alert.evidence
    ]
    if evidence == alert.evidence:
        return None
    return msgspec.structs.replace(alert, state="updated", bucket=bucket, evidence=evidence)


def sealed(alerts: Iterable[Alert], chain: str) -> tuple[list[Alert], str]:
    """A close's alerts in order of id, each with the history's hash after it; and that hash after the last."""
    result = []
    for alert in sorted(alerts, key=lambda a: a.id):
        chain = chained(chain, alert)
        result.append(msgspec.structs.replace(alert, chain=chain))
    return result, chain
