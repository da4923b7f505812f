"""`vigilia load`: files onto a source topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from streams.commands.files import day_options, messages
from streams.commands.options import json_option, prepare
from streams.commands.output import console, write_json
from streams.errors import ConfigurationError
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.events import SourceMessage
    from streams.intake.loader import LoadSummary

__all__ = ["command"]


@click.command("load")
@click.argument("format_", metavar="FORMAT", type=click.Choice(["vaers", "json"]))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@day_options
@click.option("--topic", help="Topic to send to; default: the source topic of the monitor.")
@click.option("-m", "--monitor", metavar="FILE|NAME", help="Monitor that reads them; default for vaers: vaers.")
@json_option
def command(
    format_: str,
    paths: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    topic: str | None,
    monitor: str | None,
    as_json: bool,
) -> int:
    """Send files of reports to a source topic.

    FORMAT is `vaers` (yearly zips, CSV files or folders of them, sent in order of receipt) or `json` (files of
    canonical JSON lines, sent as they are; `-` is stdin).

    The topic is created if a monitor names it and VIGILIA_CREATE_TOPICS allows it.

    Nothing is held back: a report that can't be used is sent too and becomes a dead letter. The exit status is 1 if
    Kafka did not take every message.

    \b
    Examples:
      vigilia load vaers 1998VAERSData.zip 1999VAERSData.zip --from 1998-10-01
      vigilia load json reports.jsonl --topic adverse-events
    """
    if format_ == "json" and (start or end):
        raise click.UsageError("--from and --to go with vaers: JSON lines are sent as they are")
    problems: Counter[str] = Counter()
    watching = load_monitor(monitor or format_) if monitor or (format_ == "vaers" and topic is None) else None
    target = _target(topic, watching)
    settings = prepare()
    if watching is not None:
        _ensure(watching, target, settings)
    summary = _load(messages(format_, paths, start, end, problems), target, settings)
    _print(summary, problems, target, as_json=as_json)
    return 0 if summary.complete else 1


def _ensure(monitor: Monitor, target: str, settings: Settings) -> None:
    """Create the topic as its monitor wants it, so that loading may come before the first `vigilia run`."""
    from streams.transport import ensure_topics, required_topics

    ensure_topics(settings, [topic for topic in required_topics(monitor, settings) if topic.name == target])


def _load(content: Iterator[bytes | SourceMessage], topic: str, settings: Settings) -> LoadSummary:
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from streams.intake.loader import load

    screen = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(f"delivered to {topic}", total=None)

        def progress(summary: LoadSummary) -> None:
            bar.update(task, completed=summary.delivered, total=summary.sent)

        return load(content, topic, settings, progress)


def _target(topic: str | None, monitor: Monitor | None) -> str:
    """The topic to send to. A monitor with several sources does not say which of them is meant."""
    if topic:
        return topic
    if monitor is None:
        raise click.UsageError("say where to: --topic, or a --monitor with one source topic")
    names = [monitor.on_broker(name) for name in monitor.topics]
    if len(names) > 1:
        raise ConfigurationError(f"the monitor has several source topics; say which with --topic: {', '.join(names)}")
    return names[0]


def _print(summary: LoadSummary, problems: Counter[str], topic: str, *, as_json: bool) -> None:
    if as_json:
        content = {
            "topic": topic,
            "sent": summary.sent,
            "delivered": summary.delivered,
            "failed": dict(summary.failed),
            "bytes": summary.bytes,
            "seconds": round(summary.seconds, 3),
            "problems": dict(problems),
        }
        write_json(content)
        return
    rate = f", {summary.delivered / summary.seconds:,.0f} a second" if summary.seconds > 0.1 else ""
    click.echo(f"{summary.delivered:,} messages delivered to {topic} in {summary.seconds:.1f} s{rate}")
    for name, number in sorted(summary.failed.items()):
        click.echo(f"  {number:,} not delivered: {name}")
    for reason, number in sorted(problems.items()):
        click.echo(f"  {number:,} in the files: {reason}")
