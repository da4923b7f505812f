"""`vigilia uncertain`: sentences that the classifier leaves open, for people to read where they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click
import msgspec

from streams.audit.log import AssessmentLog
from streams.commands.options import group_monitor_option, json_option, prepare
from streams.commands.output import print_table, progress, write_json
from streams.errors import ConfigurationError
from streams.events import MICRO, Assessment
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings

__all__ = ["OpenSentence", "command", "open_sentences"]


class OpenSentence(msgspec.Struct, frozen=True):
    """Characters `[start, end)` of the text of the message `at` topic/partition/offset; `received_at` in ms UTC."""

    at: str
    case_id: str
    version: int
    received_at: int
    start: int
    end: int
    probability: float
    counted: bool


@click.command("uncertain", short_help="List sentences that the classifier leaves open, for review.")
@group_monitor_option
@click.option("--counted", is_flag=True, help="Only sentences that a counted pair has its score from.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the newest.")
@json_option
def command(monitor: str | None, counted: bool, limit: int | None, as_json: bool) -> None:
    """List sentences that the classifier leaves open, for review.

    Such a sentence could be an ADE or none at the monitor's error rate. Whether its pairs count is a setting of the
    monitor (`uncertain` in `[text]`); "counted" says that one of them does, if its message counts. Shown is where the
    sentence stands: its message, and its characters in the text or narrative of that message. What it says stays on
    the source topic. With --json one sentence a line.

    \b
    Examples:
      vigilia uncertain --monitor demo --limit 20
      vigilia uncertain --monitor our-hospital.toml --counted --json
    """
    if monitor is None:
        raise click.UsageError("Missing option '-m' / '--monitor'.")
    settings, watched = prepare(), load_monitor(monitor)
    if not watched.reads_text:
        raise ConfigurationError(f'monitor {watched.name} reads no text (evidence = "coded")')
    found = [sentence for sentence in open_sentences(settings, watched) if sentence.counted or not counted]
    shown = found if limit is None else found[-limit:]
    if as_json:
        for sentence in shown:
            write_json(sentence)
        return
    if shown:
        print_table(("message", ">from", ">to", "case", ">version", "received", ">p", "counted"), map(_row, shown))
    fewer = f", {len(shown):,} shown" if len(shown) < len(found) else ""
    click.echo(f"{len(found):,} uncertain sentences at error rate {watched.text.error_rate:g}{fewer}", err=True)


def open_sentences(settings: Settings, monitor: Monitor) -> Iterator[OpenSentence]:
    """The uncertain sentences of a monitor's log, in order of their reports' time. Raises as `AssessmentLog`."""
    found: dict[tuple[int, str, int, int], Assessment] = {}  # a restart of assess may have written one twice
    with AssessmentLog(settings, monitor) as log:
        for _, _, record in progress(log.records(), "reading the log", lambda: len(log)):
            if isinstance(record, Assessment) and record.uncertain:
                found[record.received_at, record.topic, record.partition, record.offset] = record
    for _, record in sorted(found.items()):
        at = f"{record.topic}/{record.partition}/{record.offset}"
        for sentence in record.uncertain:
            yield OpenSentence(
                at,
                record.case_id,
                record.version,
                record.received_at,
                sentence.start,
                sentence.end,
                sentence.micro / MICRO,
                sentence.counted,
            )


def _row(sentence: OpenSentence) -> tuple[object, ...]:
    received = datetime.fromtimestamp(sentence.received_at / 1000, UTC)
    return (
        sentence.at,
        sentence.start,
        sentence.end,
        sentence.case_id,
        sentence.version,
        f"{received:%Y-%m-%d %H:%M}",
        f"{sentence.probability:.3f}",
        "counted" if sentence.counted else "",
    )
