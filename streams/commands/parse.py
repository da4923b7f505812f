"""`vigilia parse`: what intake makes of files, without Kafka."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import click

from streams.errors import InputError
from streams.events import SourceMessage, encode
from streams.intake import parse
from streams.intake.lines import read_lines
from streams.intake.vaers import Problem, read_vaers
from streams.monitors import Monitor

__all__ = ["command"]

_MAX_BYTES: int = Monitor.model_fields["max_message_bytes"].default


@click.command("parse")
@click.argument("format_", metavar="FORMAT", type=click.Choice(["vaers", "json"]))
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--max-bytes", default=_MAX_BYTES, show_default=True, help="Refuse larger messages, as monitors do.")
def command(format_: str, files: tuple[str, ...], max_bytes: int) -> int:
    """Write files of reports as canonical JSON on stdout.

    FORMAT is `vaers` (yearly zips, CSV files or folders of them) or `json` (JSON lines; `-` is stdin). Each message
    passes the same checks as on a source topic, and comes out as intake understands it: one line each.

    What can't be used is named on stderr with file, place and reason; then the exit status is 1.

    \b
    Example:
      vigilia parse vaers 1999VAERSData.zip > reports.jsonl
    """
    refused = 0
    for place, value in _json_messages(files) if format_ == "json" else _vaers_messages(files):
        try:
            message = parse(value, topic="", timestamp=time.time_ns() // 1_000_000, headers=None, max_bytes=max_bytes)
        except InputError as error:
            refused += 1
            if place:
                click.echo(f"{place}: {error.reason}: {error}", err=True)
        else:
            _write(message)
    sys.stdout.flush()
    if refused:
        click.echo(f"{refused} message{'s' if refused > 1 else ''} could not be used", err=True)
    return 1 if refused else 0


def _write(message: SourceMessage) -> None:
    sys.stdout.buffer.write(encode(message) + b"\n")


def _json_messages(files: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        for number, value in read_lines(file):
            yield f"{file}:{number}", value


def _vaers_messages(files: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Reports with their id as place, or with none where the reader has told already what is wrong."""

    def tell(problem: Problem) -> None:
        click.echo(f"{problem.file}: VAERS_ID {problem.vaers_id or '(none)'}: {problem.reason}", err=True)

    for message in read_vaers(files, on_problem=tell):
        if isinstance(message, bytes):
            yield "", message
        else:
            yield f"VAERS_ID {message.case_id}" if message.products else "", encode(message)
