"""`vigilia load`: files onto a source topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import click
import msgspec
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streams.errors import ConfigurationError
from streams.events import SourceMessage
from streams.intake.lines import read_lines
from streams.intake.loader import LoadSummary, load
from streams.intake.vaers import Problem, read_vaers
from streams.monitors import load_monitor
from streams.settings import load_settings

__all__ = ["command"]


@click.command("load")
@click.argument("format_", metavar="FORMAT", type=click.Choice(["vaers", "json"]))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--from", "start", type=click.DateTime(["%Y-%m-%d"]), help="First day of receipt (vaers).")
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d"]), help="Last day of receipt (vaers).")
@click.option("--topic", help="Topic to send to; default: the source topic of the monitor.")
@click.option("--monitor", help="A monitor file, or the name of a shipped one; default for vaers: vaers.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
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
    target = _target(format_, topic, monitor)

    def count(problem: Problem) -> None:
        problems[problem.reason] += 1

    messages: Iterator[bytes | SourceMessage]
    if format_ == "vaers":
        messages = iter(read_vaers(paths, start.date() if start else None, end.date() if end else None, count))
    else:
        messages = (value for path in paths for _, value in read_lines(path))
    summary = _load(messages, target)
    _print(summary, problems, target, as_json=as_json)
    return 0 if summary.complete else 1


def _load(messages: Iterator[bytes | SourceMessage], topic: str) -> LoadSummary:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"delivered to {topic}", total=None)

        def progress(summary: LoadSummary) -> None:
            bar.update(task, completed=summary.delivered, total=summary.sent)

        return load(messages, topic, load_settings(), progress)


def _target(format_: str, topic: str | None, monitor: str | None) -> str:
    """The topic to send to. A monitor with several sources does not say which of them is meant."""
    if topic:
        return topic
    if monitor is None and format_ == "json":
        raise click.UsageError("say where to: --topic, or a --monitor with one source topic")
    sources = load_monitor(monitor or format_).topics
    if len(sources) > 1:
        raise ConfigurationError(f"the monitor has several source topics; say which with --topic: {', '.join(sources)}")
    return sources[0]


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
        click.echo(msgspec.json.encode(content))
        return
    rate = f", {summary.delivered / summary.seconds:,.0f} a second" if summary.seconds > 0.1 else ""
    click.echo(f"{summary.delivered:,} messages delivered to {topic} in {summary.seconds:.1f} s{rate}")
    for name, number in sorted(summary.failed.items()):
        click.echo(f"  {number:,} not delivered: {name}")
    for reason, number in sorted(problems.items()):
        click.echo(f"  {number:,} in the files: {reason}")
