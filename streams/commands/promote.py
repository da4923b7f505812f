"""`vigilia promote`: which monitor reports an alert stream."""

from __future__ import annotations

import click

from streams.commands.buckets import bucket_number
from streams.commands.options import json_option, prepare, store_url
from streams.commands.output import print_table, write_json
from streams.cutover.log import ensure_cutover_topic, user
from streams.cutover.promotion import KafkaBoard, Wish, promoting, settling
from streams.cutover.promotion import give_up as undo
from streams.errors import ConfigurationError
from streams.monitors import Monitor, load_monitor
from streams.routing import Decided, Forked, Proposed, Record, route_of
from streams.subscribers.cutovers import read_cutovers

__all__ = ["command"]


@click.command("promote", short_help="Let another monitor report an alert stream from now on.")
@click.argument("new", required=False)
@click.option("--stream", required=True, help="Name of the stream: that of the monitor it began with.")
@click.option("--over", metavar="FILE|NAME", help="The monitor that reports it now; default: the shipped one.")
@click.option("--why", help="Noted down with the promotion.")
@click.option("--by", help="Who does it; without it the user of this system.")
@click.option("--at", "at", metavar="BUCKET", help="Only from this bucket on: its number, or the day it begins.")
@click.option("--give-up", is_flag=True, help="Give a promotion up that was broken off, instead of finishing it.")
@json_option
def command(
    new: str | None,
    stream: str,
    over: str | None,
    why: str | None,
    by: str | None,
    at: str | None,
    give_up: bool,
    as_json: bool,
) -> int:
    """Let another monitor report an alert stream, from the next bucket on.

    NEW is a monitor file (or the name of a shipped one). Those who subscribe to STREAM get the alerts of the former
    monitor up to the last bucket that it has closed, and those of NEW from the next one on: each bucket from exactly
    one. To roll back, promote the former monitor again. Without NEW: finish a promotion that was broken off, and show
    who reports what.

    \b
    Examples:
      vigilia promote live-2.toml --stream live --over live --why "model 7: fewer negated findings"
      vigilia promote live --stream live --over live-2.toml --why "back: floods of rash"
      vigilia promote --stream live
    """
    settings, who = prepare(), by or user()
    if (new is None) == (why is not None) or (at is not None and new is None) or (give_up and new is not None):
        raise click.UsageError("NEW and --why go together, --at with them; --give-up without them")
    ensure_cutover_topic(settings)
    log = read_cutovers(settings)
    outgoing = load_monitor(over or route_of(stream, log).last.monitor) if _looks(log, stream, new, give_up) else None
    with KafkaBoard(settings, [] if outgoing is None else [outgoing], store_url(settings)) as board:
        if give_up:
            undo(board, stream, who)
        elif new is None:
            list(settling(board, stream, who))
        else:
            assert why is not None
            list(promoting(board, _wish(log, load_monitor(new), outgoing, stream, at, who, why)))
        records = board.records()
    if as_json:
        route = route_of(stream, records)
        write_json({"stream": stream, "steps": [step._asdict() for step in route.steps], "log": _of(records, stream)})
    else:
        _print(records, stream)
    return 0


def _looks(log: list[Record], stream: str, new: str | None, give_up: bool) -> bool:
    """Whether the state of the outgoing monitor is needed."""
    return not give_up and (new is not None or route_of(stream, log).pending is not None)


def _wish(
    log: list[Record], new: Monitor, outgoing: Monitor | None, stream: str, at: str | None, by: str, why: str
) -> Wish:
    if outgoing is not None and outgoing.bucket_ms != new.bucket_ms:
        raise ConfigurationError(f"{new.name} and {outgoing.name} have buckets of different width")
    bucket = None if at is None else bucket_number(at, new.bucket_ms)
    forks = [record for record in log if isinstance(record, Forked) and record.monitor == new.name]
    if forks and not forks[-1].done:
        raise ConfigurationError(f"the fork of {new.name} was broken off: run `vigilia monitor fork` again first")
    return Wish(stream, new.name, bucket, new.bucket_ms, by, why)


def _of(records: list[Record], stream: str) -> list[Record]:
    return [record for record in records if not isinstance(record, Forked) and record.stream == stream]


def _print(records: list[Record], stream: str) -> None:
    ours = _of(records, stream)
    decisions = {record.id: record for record in reversed(ours) if isinstance(record, Decided)}
    rows = []
    for record in ours:
        if isinstance(record, Proposed):
            decided = decisions.get(record.id)
            became = "pending" if decided is None else "promoted" if decided.confirmed else "given up"
            rows.append((record.bucket, record.monitor, became, record.at, record.by, record.why))
    if rows:
        print_table((">from bucket", "monitor", "", "at", "by", "why"), rows)
    steps = route_of(stream, records).steps
    click.echo(f"stream {stream}: reported by {steps[-1].monitor if steps else stream}" + (
        f" from bucket {steps[-1].bucket} on" if steps else ", never promoted"
    ))  # fmt: skip
