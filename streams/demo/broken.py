"""Ways in which a message arrives broken, and the reason code that each must get."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from streams.events import AdverseEvent, encode

TOO_LARGE_BYTES: Final = 1_000_001  # one more than a monitor accepts by default


class Spoiler(NamedTuple):
    """`spoil` makes the bytes from a report that was in order; `number` of them are in the year."""

    reason: str
    number: int
    spoil: Callable[[random.Random, AdverseEvent], bytes]


def _changed(report: AdverseEvent, **fields: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(encode(report)), **fields})


def _cut(chance: random.Random, report: AdverseEvent) -> bytes:
    value = encode(report)
    return value[: chance.randrange(10, len(value) - 10)]


def _latin(_chance: random.Random, report: AdverseEvent) -> bytes:
    return _changed(report, narrative="Vu à l'hôpital.").decode().encode("latin-1")


def _with_nul(chance: random.Random, report: AdverseEvent) -> bytes:
    value = encode(report)
    at = chance.randrange(1, len(value))
    return value[:at] + b"\0" + value[at:]


def _large(_chance: random.Random, report: AdverseEvent) -> bytes:
    value = encode(report)
    return value + b" " * (TOO_LARGE_BYTES - len(value))


SPOILERS: Final = (
    Spoiler("unreadable", 8, _cut),
    Spoiler("unreadable", 5, _latin),
    Spoiler("unreadable", 3, _with_nul),
    Spoiler("unreadable", 2, lambda _c, _r: b""),
    Spoiler("schema_mismatch", 4, lambda _c, r: _changed(r, products=[])),
    Spoiler("schema_mismatch", 4, lambda _c, r: _changed(r, events="rash; fever")),
    Spoiler("schema_mismatch", 4, lambda _c, r: _changed(r, onset_date="03/14/2023")),
    Spoiler("schema_mismatch", 3, lambda _c, r: _changed(r, received_at="2023-03-14T09:00:00")),
    Spoiler("future_timestamp", 4, lambda _c, r: _changed(r, received_at="2093-03-14T09:00:00Z")),
    Spoiler("unknown_format", 4, lambda _c, r: _changed(r, type="lab_result")),
    Spoiler("too_large", 1, _large),
)
