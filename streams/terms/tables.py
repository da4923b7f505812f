"""Text files of vocabularies, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streams.errors import ConfigurationError

__all__ = ["lines_of", "rows_of"]


def lines_of(path: Path) -> list[str]:
    """The lines of a file: UTF-8, else Latin-1 (older releases). Raises ConfigurationError if it can't be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"vocabulary {path}: can't be read ({error.strerror})") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").split("\n")


def rows_of(path: Path, separator: str, least: int) -> Iterator[list[str]]:
    """The fields of each line that is not empty. Raises ConfigurationError at a line of fewer than `least` fields."""
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        fields = line.split(separator)
        if len(fields) < least:
            raise ConfigurationError(
                f"vocabulary {path}, line {number}: {len(fields)} fields, at least {least} are needed"
            )
        yield fields
