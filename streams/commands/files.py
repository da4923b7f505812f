"""Files of reports as `load` and `replay` take them: their options, and the messages in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from streams.events import SourceMessage
    from streams.intake.vaers import Problem

__all__ = ["day_options", "messages"]

_DAY = click.DateTime(["%Y-%m-%d"])


def day_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--from and --to, as `start` and `end`."""
    last = click.option("--to", "end", type=_DAY, help="Last day of receipt (vaers).")
    return click.option("--from", "start", type=_DAY, help="First day of receipt (vaers).")(last(command))


def messages(
    format_: str, paths: tuple[str, ...], start: datetime | None, end: datetime | None, problems: Counter[str]
) -> Iterator[bytes | SourceMessage]:
    """What to send, in order of receipt (vaers) or as it stands in the files (json). Counts what files hold besides."""
    from streams.intake.lines import read_lines
    from streams.intake.vaers import read_vaers

    def count(problem: Problem) -> None:
        problems[problem.reason] += 1

    if format_ == "vaers":
        yield from read_vaers(paths, start.date() if start else None, end.date() if end else None, count)
    else:
        yield from (value for path in paths for _, value in read_lines(path))
