"""What Redis holds of a monitor, read in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from redis.exceptions import RedisError

from streams.detect.contribution import Contribution, decode_contribution
from streams.detect.totals import BucketTotals
from streams.errors import StateConflict, StoreUnavailable
from streams.events import Alert, decode_alert
from streams.state.store import Positions, Store

__all__ = ["Entry", "Snapshot", "take_snapshot"]

ATTEMPTS = 10


class Entry(NamedTuple):
    """A message as Redis holds it."""

    counts: bool
    late: bool
    contribution: Contribution


@dataclass(frozen=True)
class Snapshot:
    """The state at one moment. `entries` and `closed_entries`: bucket -> messages; `totals` of closed buckets."""

    positions: Positions
    closed: int | None
    counters: dict[str, int]
    open_counts: dict[int, int]
    entries: dict[int, list[Entry]]
    closed_entries: dict[int, list[Entry]]
    totals: dict[int, BucketTotals]
    alerts: list[Alert]


def take_snapshot(store: Store) -> Snapshot:
    """Read everything an audit compares. Blocks Redis while it copies: some 0.1 s for 100,000 messages.

    Raises StateDirty, SettingsChanged, StoreUnavailable; StateConflict if buckets close faster than they are read.
    """
    keys = store.keys
    for _ in range(ATTEMPTS):
        positions = store.positions()
        try:
            open_buckets = store.client.zrange(keys.open, 0, -1)
            closed_buckets = store.client.zrange(keys.closed, 0, -1)
            pipe = store.client.pipeline(transaction=True)
            pipe.hget(keys.meta, "closed")
            pipe.hgetall(keys.positions)
            pipe.zrange(keys.open, 0, -1)
            pipe.zrange(keys.closed, 0, -1)
            pipe.hgetall(keys.counters)
            pipe.hgetall(keys.counted)
            pipe.hgetall(keys.aggregates)
            pipe.hvals(keys.alerts)
            for bucket in open_buckets:
                pipe.hgetall(keys.entries + bucket.decode())
            for bucket in closed_buckets:
                pipe.hgetall(keys.cases + bucket.decode())
            closed, _, open_now, closed_now, counters, counted, totals, alerts, *rest = pipe.execute()
        except RedisError as error:
            raise StoreUnavailable(f"Redis: {error}") from error
        if (open_now, closed_now) == (open_buckets, closed_buckets) and store.positions() == positions:
            break
    else:
        raise StateConflict(
            f"monitor {store.settings.monitor}: a worker is writing all the time; audit when it is quiet"
        )
    buckets = [int(bucket) for bucket in (*open_buckets, *closed_buckets)]
    entries = {
        bucket: [_entry(value) for value in fields.values()] for bucket, fields in zip(buckets, rest, strict=True)
    }
    return Snapshot(
        positions=positions,
        closed=None if closed is None else int(closed),
        counters={name.decode(): int(number) for name, number in counters.items()},
        open_counts={int(bucket): int(number) for bucket, number in counted.items()},
        entries={int(bucket): entries[int(bucket)] for bucket in open_buckets},
        closed_entries={int(bucket): entries[int(bucket)] for bucket in closed_buckets},
        totals={int(bucket): BucketTotals.decode(blob) for bucket, blob in totals.items()},
        alerts=[decode_alert(record.split(b":", 2)[2]) for record in alerts],
    )


def _entry(value: bytes) -> Entry:
    return Entry(value[:1] == b"c", value[1:2] == b"l", decode_contribution(value[2:]))
