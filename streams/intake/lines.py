"""Files of JSON lines, read without trusting them: a line may hold anything and be of any length."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from streams.errors import ConfigurationError

__all__ = ["LONGEST_LINE", "read_lines"]

LONGEST_LINE: Final = 16_000_000


def read_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each line that is not blank, without its line end; `-` is standard input.

    Of a line longer than `LONGEST_LINE` only that many bytes come out: more than any broker or intake takes, so it is
    refused there. Raises ConfigurationError for a file that can't be read.
    """
    if str(path) == "-":
        yield from _lines(sys.stdin.buffer)
        return
    try:
        with Path(path).open("rb") as file:
            yield from _lines(file)
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read ({error.strerror})") from None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        rest = line
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        if line.strip():
            yield number, line.rstrip(b"\r\n")
