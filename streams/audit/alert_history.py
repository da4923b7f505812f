"""The history of raised and updated alerts, proved: the rule of its chain, written down a second time.

hash = SHA-256("<hash before>|<bucket>|<alert id>|<content>"), in order of (bucket, alert id), from "" on. The content
is the SHA-256 of the record as JSON with sorted keys and `chain` null: of the record as it stands in Redis, whichever
version of vigilia wrote it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from streams.errors import StateConflict
from streams.events import Alert
from streams.state.store import Store

__all__ = ["AlertHistory", "content", "following", "prove", "read_history"]

_canonical = msgspec.json.Encoder(order="sorted").encode


class _Line(msgspec.Struct):
    """What the chain needs of a record besides its content."""

    id: str
    bucket: int
    chain: str | None


class AlertHistory(msgspec.Struct):
    """What was found. `fault`: the first revision that breaks the chain, in words; None if it is whole.

    `published`: newest revisions on the alerts topic whose hash is in the chain; `ahead`: those of buckets that Redis
    has not closed (it is being rebuilt, or another worker has gone on).
    """

    monitor: str
    revisions: int
    closes: int
    closed: int | None
    head: str
    fault: str | None = None
    published: int = 0
    ahead: int = 0


def content(record: bytes) -> str:
    """What the chain takes of a record."""
    fields = msgspec.json.decode(record)
    return hashlib.sha256(_canonical({**fields, "chain": None})).hexdigest()


def following(chain: str, bucket: int, alert: str, content: str) -> str:
    """The hash after one more revision."""
    return hashlib.sha256(f"{chain}|{bucket}|{alert}|{content}".encode()).hexdigest()


def read_history(store: Store) -> tuple[int | None, str, list[tuple[int, list[bytes]]]]:
    """The last closed bucket, the head of the chain, and the records of each close up to it.

    Closes only ever add to it, so it may be read while a worker goes on. Raises StateConflict if Redis was emptied or
    set back meanwhile, and what the store raises.
    """
    store.positions()  # raises if this is no state that can be read
    base = store.base()
    closes = [] if base.closed is None else list(store.history(until=base.closed))
    after = store.base()
    if base.closed is not None and (after.closed is None or after.closed < base.closed):
        raise StateConflict(f"monitor {store.settings.monitor}: Redis was emptied or set back while it was read")
    return base.closed, base.chain, closes


def prove(
    monitor: str,
    closed: int | None,
    head: str,
    closes: Iterable[tuple[int, Sequence[bytes]]],
    published: Iterable[Alert],
) -> tuple[AlertHistory, set[str]]:
    """Follow the chain through `closes`, and look for the hash of each of the `published` alerts in it.

    Returns what was found and every hash of the chain up to the first fault.
    """
    found = AlertHistory(monitor, 0, 0, closed, head)
    chain, hashes = "", set[str]()
    for bucket, records in closes:
        found.closes += 1
        for record in records:
            found.revisions += 1
            line = msgspec.json.decode(record, type=_Line)
            chain = following(chain, bucket, line.id, content(record))
            if found.fault is None and (line.chain, line.bucket) != (chain, bucket):
                found.fault = (
                    f"revision {found.revisions}, alert {line.id} in the close of bucket {bucket}: it was changed, or "
                    "one before it was taken out, put in or changed places"
                )
            if found.fault is None:
                hashes.add(chain)
    if found.fault is None and chain != head:
        found.fault = f"after revision {found.revisions}, the last there is: the chain went on, so later ones are gone"
    for alert in published:
        if alert.chain in hashes:
            found.published += 1
        elif closed is None or alert.bucket > closed:
            found.ahead += 1
        elif found.fault is None:
            found.fault = (
                f"alert {alert.id}, published in the close of bucket {alert.bucket}: Redis has another history"
            )
    return found, hashes
