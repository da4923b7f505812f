"""How commands write: tables for people, JSON for programs, progress for whoever watches.

Names of drugs and events are data that a message brought: `printable` keeps their control characters from the
terminal, and nothing here reads them as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_table", "printable", "progress", "write_json"]

T = TypeVar("T")
PLAIN_WIDTH = 200  # of tables that go into a file or a pipe
EVERY = 1000  # items between two looks at the progress bar
_encode = msgspec.json.Encoder(order="deterministic").encode


def printable(text: object) -> str:
    """`text` with its control characters written out.

    >>> printable("fever" + chr(27) + "[2J")
    'fever\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for a table where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else PLAIN_WIDTH, highlight=False, markup=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table. Columns whose name begins with `>` are aligned to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(cell)) for cell in row))
    console().print(table)


def write_json(value: Any) -> None:
    """Write one JSON document as a line on stdout."""
    click.echo(_encode(value))


def progress(items: Iterable[T], what: str, total: Callable[[], int | None]) -> Iterator[T]:
    """`items`, with a progress bar on stderr if that is a terminal. `total` is asked when the first item is there."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        done = 0
        for done, item in enumerate(items, start=1):
            if done % EVERY == 1:
                bar.update(task, completed=done, total=total())
            yield item
        bar.update(task, completed=done)
