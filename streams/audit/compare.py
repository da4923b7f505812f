"""The recount beside Redis, cell by cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from streams.audit.alert_history import following
from streams.audit.forks import ForkReport
from streams.audit.recount import Case, Cell, Position, Recount
from streams.audit.rules import recounted
from streams.audit.snapshot import Entry, Snapshot
from streams.audit.tables import Tables, differ
from streams.detect.totals import BucketTotals
from streams.monitors import Monitor

__all__ = ["Difference", "Report", "compare"]

DAY_MS = 86_400_000


class Difference(Struct, frozen=True):
    """One cell that is not what the log says. `log` is what it says, `redis` what is there."""

    what: str
    log: Any
    redis: Any


class Report(Struct):
    """The result of an audit. `cells`: how many were compared, by kind.

    `lost`: messages that count by the log and not in Redis. `counted_twice`: those that count in Redis and not by the
    log, or count there more than once. `behind`: assessments records that Redis has not applied yet, `waiting`:
    source messages without an outcome so far; neither is a fault. `fork`: of a monitor that is one.
    """

    monitor: str
    messages: int
    outcomes: dict[str, int]
    cells: dict[str, int]
    lost: int = 0
    counted_twice: int = 0
    behind: int = 0
    waiting: int = 0
    differences: list[Difference] = []
    fork: ForkReport | None = None

    @property
    def clean(self) -> bool:
        """Whether Redis is what the log says."""
        return not (self.differences or self.lost or self.counted_twice)


def compare(recount: Recount, redis: Snapshot, monitor: Monitor) -> Report:
    """Compare a recount up to Redis' positions with what Redis holds. Pure.

    Aggregates and messages of closed buckets are compared within the reference window; older ones are trimmed, and
    only the counters still testify of them. Not compared: the alarm state of drugs, and the lists of keys.
    """
    outcomes = Counter(outcome.outcome for outcome in recount.outcomes())
    report = Report(monitor.name, outcomes.total(), dict(sorted(outcomes.items())), {})
    for kind, found in (
        ("positions", _positions(recount, redis)),
        ("counters", _counters(recount, redis)),
        ("messages", _messages(recount, redis, monitor, report)),
        ("buckets", _buckets(recount, redis, monitor)),
        ("alerts", _alerts(recount, redis, monitor)),
    ):
        compared = 0
        for difference in found:
            compared += 1
            if difference is not None:
                report.differences.append(difference)
        report.cells[kind] = compared
    ours, theirs = (c.get("counted", 0) + c.get("late", 0) for c in (recount.counters, redis.counters))
    report.lost = max(report.lost, ours - theirs)
    report.counted_twice = max(report.counted_twice, theirs - ours)
    return report


def _cell(what: str, log: Any, redis: Any) -> Difference | None:
    return None if log == redis else Difference(what, log, redis)


def _positions(recount: Recount, redis: Snapshot) -> Iterator[Difference | None]:
    for partition in sorted(recount.next.keys() | redis.next.keys()):
        ours, theirs = recount.next.get(partition, 0), redis.next.get(partition, 0)
        # Offsets may have holes at the end (transactions): being beyond the last record is only a fault if it is lower.
        yield _cell(f"assessments[{partition}].next", max(ours, theirs), theirs)
    for source in sorted(recount.sources.keys() | redis.sources.keys()):
        (following, latest), (next_there, latest_there) = (
            x.get(source, (0, None)) for x in (recount.sources, redis.sources)
        )
        name = f"{source[0]}[{source[1]}]"
        yield _cell(f"{name}.next", following, next_there)
        yield _cell(f"{name}.latest", latest, latest_there)


def _counters(recount: Recount, redis: Snapshot) -> Iterator[Difference | None]:
    for name in sorted(recount.counters.keys() | redis.counters.keys()):
        yield _cell(f"counter {name}", recount.counters.get(name, 0), redis.counters.get(name, 0))


# ------------------------------------------------------------------ messages


def _in_window(bucket: int, closed: int | None, monitor: Monitor) -> bool:
    if closed is None or bucket > closed:
        return True
    return bucket > closed - max(1, monitor.alarms.window_days * DAY_MS // monitor.bucket_ms)


def _messages(recount: Recount, redis: Snapshot, monitor: Monitor, report: Report) -> Iterator[Difference | None]:
    """Every message that Redis should hold, and every one that it holds."""
    with_cases = {case.bucket for case in recount.counted()}
    wanted: dict[Position, Case] = {}
    everyone: dict[Position, Case] = {}
    for case in recount.cases:
        everyone[case.position] = case
        is_open = redis.closed is None or case.bucket > redis.closed
        if is_open or (case.bucket in with_cases and _in_window(case.bucket, redis.closed, monitor)):
            wanted[case.position] = case
    held: dict[Position, tuple[int, Entry]] = {}
    for bucket, entries in sorted((*redis.entries.items(), *redis.closed_entries.items())):
        for entry in entries:
            position = entry.contribution.position
            if position in held:
                report.counted_twice += entry.counts and held[position][1].counts
                yield Difference(f"message {_name(position)}: bucket", held[position][0], bucket)
            held[position] = (bucket, entry)
    for position in sorted(wanted.keys() | held.keys()):
        logged, found = everyone.get(position), held.get(position)
        at, entry_held = found if found is not None else (None, None)
        counts = logged is not None and logged.of is None
        report.lost += counts and not (entry_held is not None and entry_held.counts)
        report.counted_twice += entry_held is not None and entry_held.counts and not counts
        yield _cell(f"message {_name(position)}", _seen_in_log(logged), _seen_in_redis(at, entry_held))


def _name(position: Position) -> str:
    return "/".join(map(str, position))


def _seen_in_log(case: Case | None) -> dict[str, Any] | None:
    if case is None:
        return None
    record = case.record
    pairs = record.pairs
    return {
        "bucket": case.bucket,
        "counts": case.of is None,
        "late": case.late,
        "received_at": record.received_at,
        "case": f"{record.case_id} version {record.version}",
        "stratum": record.stratum,
        "drugs": record.drugs,
        "events": dict(zip(record.events, record.scores, strict=True)),
        "pairs": None if pairs is None else [(p.drug, p.event, p.micro) for p in pairs],
    }


def _seen_in_redis(bucket: int | None, entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    held = entry.contribution
    return {
        "bucket": bucket,
        "counts": entry.counts,
        "late": entry.late,
        "received_at": held.received_at,
        "case": f"{held.case_id} version {held.version}",
        "stratum": held.stratum,
        "drugs": list(held.drugs),
        "events": dict(zip(held.events, held.scores, strict=True)),
        "pairs": None if held.pairs is None else [pair[:3] for pair in held.pairs],
    }


# ------------------------------------------------------------------ buckets and alerts


def _buckets(recount: Recount, redis: Snapshot, monitor: Monitor) -> Iterator[Difference | None]:
    """Counted entries of open buckets; every cell of the closed ones."""
    totals = recount.totals()
    counted = Counter(case.bucket for case in recount.counted())
    closed = redis.closed
    for bucket in sorted(counted.keys() | redis.open_counts.keys()):
        if closed is None or bucket > closed:
            yield _cell(f"bucket {bucket}: open cases", counted[bucket], redis.open_counts.get(bucket, 0))
    if closed is None:
        return
    wanted = {bucket for bucket in totals if bucket <= closed and _in_window(bucket, closed, monitor)}
    for bucket in sorted(wanted | redis.totals.keys()):
        held = redis.totals.get(bucket)
        ours: Mapping[Cell, int] = totals.get(bucket, {})
        theirs: Mapping[Cell, int] = _cells(held) if held else {}
        for cell in sorted(ours.keys() | theirs.keys(), key=repr):
            kind, *names = cell
            what = f"bucket {bucket}: {kind}({', '.join(map(str, names))})"
            yield _cell(what, ours.get(cell, 0), theirs.get(cell, 0))


def _cells(totals: BucketTotals) -> dict[Cell, int]:
    cells: dict[Cell, int] = {("N", stratum): n for stratum, n in totals.cases.items()}
    for drug, strata in totals.drugs.items():
        cells.update({("n", drug, stratum): n for stratum, n in strata.items()})
    for event, strata in totals.events.items():
        cells.update({("m", event, stratum): micro for stratum, micro in strata.items()})
    for drug, events in totals.pairs.items():
        for event, strata in events.items():
            cells.update({("S", drug, event, stratum): micro for stratum, micro in strata.items()})
    return cells


def _alerts(recount: Recount, redis: Snapshot, monitor: Monitor) -> Iterator[Difference | None]:
    """Every raised or updated revision: table, number of cases and evidence at the bucket that decided them.

    Then that the newest of each alert is the last of its revisions, and that the chain of hashes holds them all.
    """
    tables = Tables(recount, monitor)
    newest, chain = {}, ""
    for alert, content in zip(redis.history, redis.contents, strict=True):
        differences = list(differ(alert, recounted(alert, tables, monitor)))
        what = f"alert {alert.id} of bucket {alert.bucket}"
        yield Difference(what, "as recounted", "; ".join(differences)) if differences else None
        newest[alert.id] = alert
        chain = following(chain, alert.bucket, alert.id, content)
        yield _cell(f"{what}: chain", chain, alert.chain)
    yield _cell("chain of the history", chain, redis.chain)
    held = {alert.id: alert for alert in redis.alerts if alert.state in ("raised", "updated")}
    for alert_id in sorted(newest.keys() | held.keys()):
        equal = newest.get(alert_id) == held.get(alert_id)
        yield None if equal else Difference(f"alert {alert_id}", "its last revision", "another one, or none")
