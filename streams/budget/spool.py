"""The counted cases of a log in order of their buckets, on disk: to be read many times in little memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from streams.detect.contribution import Contribution
from streams.detect.progress import Placed

__all__ = ["Spool", "read_buckets"]

_SCHEMA = """
CREATE TABLE placed (bucket INTEGER, topic TEXT, part INTEGER, off INTEGER, keys BLOB, body BLOB,
                     PRIMARY KEY (bucket, topic, part, off)) WITHOUT ROWID;
CREATE TABLE buckets (bucket INTEGER PRIMARY KEY, cases BLOB);
"""
_encode = msgspec.msgpack.Encoder().encode
_decode_keys = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_case = msgspec.msgpack.Decoder(Contribution).decode
_decode_cases = msgspec.msgpack.Decoder(list[Contribution]).decode


class Spool:
    """Takes messages in any order; `settle` leaves those that count. Words read in a text are not written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._base = sqlite3.connect(path)
        self._base.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_SCHEMA}")

    def add(self, placed: Iterable[Placed]) -> None:
        """Keep messages with the buckets they fall in."""
        self._base.executemany("INSERT OR IGNORE INTO placed VALUES (?, ?, ?, ?, ?, ?)", map(_row, placed))

    def settle(self, horizon: int) -> int:
        """Drop duplicates by the counting rule (`streams.detect.deduplication`), the rest goes into its bucket; how
        many that are. Memory holds the keys of `horizon` buckets and a quarter more."""
        newest: dict[bytes, int] = {}
        counted, pruned = 0, None
        rows = self._base.execute("SELECT bucket, keys, body FROM placed ORDER BY bucket, topic, part, off")
        for bucket, found in groupby(rows, key=lambda row: int(row[0])):
            if pruned is None or bucket - pruned > horizon // 4:
                newest = {key: last for key, last in newest.items() if bucket - last <= horizon}
                pruned = bucket
            cases = []
            for _, keys, body in found:
                own = _decode_keys(keys)
                if all(bucket - newest[key] > horizon for key in own if key in newest):
                    cases.append(_decode_case(body))
                newest.update(dict.fromkeys(own, bucket))
            if cases:
                counted += len(cases)
                self._base.execute("INSERT INTO buckets VALUES (?, ?)", (bucket, _encode(cases)))
        self._base.commit()
        return counted

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()


def _row(placed: Placed) -> tuple[Any, ...]:
    case = placed.contribution
    pairs = (
        None if case.pairs is None else tuple((drug, event, micro, None, None) for drug, event, micro, *_ in case.pairs)
    )
    body = msgspec.structs.replace(case, case_id="", pairs=pairs, facts=None, model=None)
    return (placed.bucket, *case.position, _encode(list(placed.keys)), _encode(body))


def read_buckets(path: Path) -> Iterator[tuple[int, list[Contribution]]]:
    """The counted cases of each bucket, in order. One bucket at a time is in memory."""
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for bucket, cases in base.execute("SELECT bucket, cases FROM buckets ORDER BY bucket"):
            yield bucket, _decode_cases(cases)
    finally:
        base.close()
