"""`vigilia audit`: the log recounted in plain Python, beside Redis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import click
import msgspec

from streams.audit.compare import Difference, Report, compare
from streams.audit.forks import ForkReport, check_fork
from streams.audit.log import AssessmentLog
from streams.audit.recount import Outcome, Recount, recount
from streams.audit.snapshot import take_snapshot
from streams.audit.sources import count_sources
from streams.commands.options import json_option, monitor_option, prepare, store_settings, store_url
from streams.commands.output import printable, progress, write_json
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings
from streams.state.store import Store
from streams.subscribers.cutovers import find_fork

__all__ = ["command"]

SHOWN = 50  # differences printed for people


@click.command("audit", short_help="Recount the log and compare it with Redis, cell by cell.")
@monitor_option
@click.option("--outcomes", type=click.File("wb"), metavar="FILE", help="Write one JSON line for each source message.")
@click.option(
    "--skip-sources", is_flag=True, help="Don't look whether each message on the source topics has an outcome."
)
@json_option
def command(monitor: str, outcomes: BinaryIO | None, skip_sources: bool, as_json: bool) -> int:
    """Recount the log and compare it with Redis, cell by cell.

    Reads `<monitor>.assessments` whole, counts it again by the rules written down a second time in plain Python, up to
    the positions that Redis has applied, and compares: positions, counters, every message of open buckets and of the
    reference window, every cell of each closed bucket, and each alert's table, cases and evidence. Then looks whether
    each message on the source topics has its one outcome. A running worker may go on meanwhile. Of a fork it compares
    what was taken over with the old monitor's log.

    The exit status is 1 if anything differs. With --outcomes, what became of each source message: its coordinates,
    outcome (counted, counted late, duplicate and of which, dead letter and why, gap) and bucket.

    \b
    Example:
      vigilia audit --monitor vaers --outcomes outcomes.jsonl
    """
    settings = prepare()
    report, recounted = audit(settings, load_monitor(monitor), with_sources=not skip_sources)
    if outcomes is not None:
        write_outcomes(recounted.outcomes(), outcomes)
    if as_json:
        write_json({**msgspec.structs.asdict(report), "clean": report.clean})
    else:
        _print(report)
    return 0 if report.clean else 1


def audit(settings: Settings, monitor: Monitor, *, with_sources: bool = True) -> tuple[Report, Recount]:
    """Recount and compare. Raises what the log, Redis and the source topics raise."""
    store = Store.connect(store_url(settings), store_settings(monitor))
    try:
        snapshot = take_snapshot(store)
    finally:
        store.close()
    with AssessmentLog(settings, monitor) as log:
        until = snapshot.next
        records = progress(log.records(until), "recounting", lambda: len(log))
        recounted = recount(records, monitor)
        report = compare(recounted, snapshot, monitor)
        for partition, end in log.ends.items():
            applied = until.get(partition, 0)
            report.behind += max(0, end - applied)
            if log.starts[partition] > 0:
                what = f"assessments[{partition}]: begins at offset {log.starts[partition]}, so the log is not whole"
                report.differences.append(Difference(what, 0, applied))
            if applied > end:
                report.differences.append(
                    Difference(f"assessments[{partition}]: Redis is ahead of the log", end, applied)
                )
    forked = find_fork(settings, monitor.name)
    if forked is not None:
        report.fork = check_fork(settings, monitor, forked)
        report.differences += [Difference(f"fork: {fault}", None, None) for fault in report.fork.faults]
    if with_sources:
        sources = count_sources(settings, monitor, recounted)
        report.cells["source messages"] = sources.present
        report.waiting = sources.waiting
        report.lost += len(sources.missing)
        report.differences += [
            Difference(f"source {topic}/{partition}/{offset}: no outcome", None, None)
            for topic, partition, offset in sources.missing
        ]
    return report, recounted


def write_outcomes(outcomes: Iterable[Outcome], file: BinaryIO) -> None:
    """One JSON object a line: topic, partition, offset, outcome, and what goes with it."""
    for outcome in outcomes:
        topic, partition, offset = outcome.position
        of = None if outcome.of is None else "/".join(map(str, outcome.of))
        line: dict[str, object] = {"topic": topic, "partition": partition, "offset": offset, "outcome": outcome.outcome}
        extra = {"bucket": outcome.bucket, "of": of, "reason": outcome.reason, "first": outcome.first}
        line.update((name, value) for name, value in extra.items() if value is not None)
        file.write(msgspec.json.encode(line) + b"\n")


def _print(report: Report) -> None:
    for difference in report.differences[:SHOWN]:
        text = f"{difference.what}: {_short(difference.log)} by the log, {_short(difference.redis)} in Redis"
        click.echo(printable(text))
    if len(report.differences) > SHOWN:
        click.echo(f"... and {len(report.differences) - SHOWN} more (--json has them all)")
    outcomes = ", ".join(f"{number:,} {name}" for name, number in report.outcomes.items())
    click.echo(f"{report.messages:,} source messages: {outcomes or 'none yet'}")
    click.echo("compared: " + ", ".join(f"{number:,} {kind}" for kind, number in report.cells.items()))
    if report.fork is not None:
        _print_fork(report.fork)
    if report.behind or report.waiting:
        click.echo(f"not applied yet: {report.behind:,} assessments, {report.waiting:,} messages on source topics")
    differ = f"{len(report.differences):,} difference{'' if len(report.differences) == 1 else 's'}"
    click.echo(f"{report.lost:,} lost, {report.counted_twice:,} counted twice, {differ}")


def _print_fork(fork: ForkReport) -> None:
    sides = (
        ", ".join(f"{n:,} by {printable(model)}" for model, n in side.items()) for side in (fork.below, fork.above)
    )
    below, above = (side or "none" for side in sides)
    click.echo(f"fork of {fork.of} at bucket {fork.bucket}: assessments taken over: {below}; its own: {above}")
    compared = f"compared with {fork.of} in {fork.compared} source partitions" if fork.compared else "not compared"
    click.echo(f"  what was taken over: {compared}")


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 300 else text[:300] + "..."
