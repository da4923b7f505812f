"""Alerts in Redis: the newest revision of each, what changed since somebody last asked, and the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from streams.state.session import Session, pack, raw

__all__ = ["AlertChanges", "AlertStore"]

_PAGE = 500  # records of one command: some megabytes at most


class AlertChanges(NamedTuple):
    """Alerts that changed: id -> (raised or updated, bucket of the revision).

    `restart`: these are all there are; what was known from before is void. `cursor`: give it to the next call.
    `settled`: no bucket up to this one can still raise anything that it has not (None: none is settled).
    """

    restart: bool
    cursor: str
    settled: int | None
    changed: dict[str, tuple[bool, int]]


class AlertStore(Session):
    """The part of the store that the publisher and the provisional alerts need."""

    def alerts_since(self, cursor: str = "") -> AlertChanges:
        """What changed since `cursor`; everything for "" and for a Redis that has gone another way since."""
        keys = self.keys
        restart, now, settled, flat = self.run(
            "alerts",
            [keys.meta, keys.positions, keys.open, keys.counted, keys.alerts, keys.alert_order, keys.alert_marks],
            self._roster,
            cursor,
        )
        changed = {}
        for alert_id, revision in zip(flat[::2], flat[1::2], strict=True):
            raised, bucket = revision.split(b":")
            changed[alert_id.decode()] = (raised == b"1", int(bucket))
        return AlertChanges(bool(restart), now.decode(), settled, changed)

    def alert_records(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The newest record of each alert; ids that Redis does not have (any more) are left out."""
        result: dict[str, bytes] = {}
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            with self._errors():
                values = self.client.hmget(self.keys.alerts, page)
            result.update((i, v.split(b":", 2)[2]) for i, v in zip(page, values, strict=True) if v is not None)
        return result

    def propose_provisional(self, proposed: Sequence[tuple[str, int, bytes]]) -> int:
        """Take in (id, open bucket, record) as provisional; how many were.

        Refused: an alert that is raised, one already provisional in the same or a later bucket, a closed bucket.
        """
        if not proposed:
            return 0
        keys = self.keys
        taken: int = self.run(
            "propose",
            [keys.meta, keys.alerts, keys.alert_order, keys.alert_marks, keys.provisional],
            pack([x for alert_id, bucket, record in proposed for x in (alert_id, bucket, raw(record))]),
        )
        return taken

    def history(self, after: int | None = None, until: int | None = None) -> Iterator[tuple[int, list[bytes]]]:
        """(bucket, records) of every close in (after, until] that raised or updated alerts, in order of id."""
        with self._errors():
            first, last = "-inf" if after is None else f"({after}", "+inf" if until is None else until
            buckets: Sequence[bytes] = self.client.zrangebyscore(self.keys.history, first, last)
        for bucket in map(int, buckets):
            with self._errors():
                yield bucket, self.client.lrange(f"{self.keys.alarms}{bucket}", 0, -1)

    def alert_counts(self) -> Mapping[str, int]:
        """How many alerts Redis holds: `raised` and `provisional`."""
        with self._errors():
            total, provisional = self.client.hlen(self.keys.alerts), self.client.zcard(self.keys.provisional)
        return {"raised": total - provisional, "provisional": provisional}
