"""Reads under a condition, and what a close starts from.

Other workers close buckets too, and Redis may be emptied or set back between two reads. So every read for a close is
bound to the last closed bucket it is for (`read.lua`): it gives what the log says at that point, or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from streams.state.session import Session, pack, raw

__all__ = ["PAGE", "Base", "BoundStore", "Closing", "pages"]

PAGE = 2000  # fields of one command inside a script: Lua's unpack fails near 8,000
_T = TypeVar("_T")


class Base(NamedTuple):
    """The state after the last close: its bucket (None before the first), how many there were, the history's hash."""

    closed: int | None
    ordinal: int
    chain: str
    drugs: int
    events: int
    memo: bytes


class Closing(NamedTuple):
    """A close that may be attempted: of `bucket`, with `counted` cases, after `closed`."""

    closed: int | None
    bucket: int
    counted: int
    ordinal: int
    chain: str
    drugs: int
    events: int


class BoundStore(Session):
    """Where closes stand, and bound reads."""

    def closable(self) -> Closing | None:
        """The close that is due now, if there is one."""
        keys = self.keys
        found = self.run(
            "closable",
            [keys.meta, keys.positions, keys.open, keys.counted, keys.drugs, keys.events],
            self._roster,
        )
        if not found:
            return None
        closed, bucket, counted, ordinal, chain, drugs, events = found
        return Closing(None if closed is None else int(closed), bucket, counted, ordinal, chain.decode(), drugs, events)

    def base(self) -> Base:
        """The state after the last close."""
        keys = self.keys
        with self._errors():
            pipe = self.client.pipeline(transaction=True)
            pipe.hmget(keys.meta, ["closed", "ordinal", "chain", "memo"])
            pipe.llen(keys.drugs)
            pipe.llen(keys.events)
            (closed, ordinal, chain, memo), drugs, events = pipe.execute()
        return Base(
            None if closed is None else int(closed),
            int(ordinal or 0),
            (chain or b"").decode(),
            drugs,
            events,
            memo or b"",
        )

    def _read(
        self,
        at: int | None,
        commands: Sequence[tuple[str, str, tuple[str | bytes | int, ...]]],
        bucket: int | None = None,
    ) -> list[Any] | None:
        """Replies to (command, key, arguments), if `at` is the last closed bucket (and `bucket` the one to close)."""
        keys, names = self.keys, list(dict.fromkeys(key for _, key, _ in commands))
        index = {key: i for i, key in enumerate(names, start=1)}
        replies: list[Any] | None = self.run(
            "read",
            [keys.meta, keys.positions, keys.open, keys.counted, *names],
            "" if at is None else at,
            "" if bucket is None else bucket,
            self._roster,
            pack([(command, index[key], *map(_plain, arguments)) for command, key, arguments in commands]),
        )
        return replies


def _plain(argument: str | bytes | int) -> str | msgspec.Raw:
    """Numbers as text: a script would write a large one in floating point."""
    return raw(argument) if isinstance(argument, bytes) else str(argument)


def pages(items: Sequence[_T], size: int = PAGE) -> Iterator[Sequence[_T]]:
    """`items` in slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
