"""The state of a monitor in Redis: what was applied, what is open, what is closed, which alerts there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import redis

from streams.detect.contribution import encode_contribution
from streams.detect.progress import Source, SourceState, Step
from streams.state.alerts import AlertStore
from streams.state.closes import CloseStore
from streams.state.session import StoreSettings, pack, raw

__all__ = ["Applied", "Positions", "Refused", "Store", "StoreSettings"]

_WIPE_SCAN = 1000


class Positions(NamedTuple):
    """Where Redis says it is: the next offset of each assessments partition, and every partition of the roster."""

    next: dict[int, int]
    sources: dict[Source, SourceState]


class Applied(NamedTuple):
    """What a batch changed: outcomes (a swap takes from one and gives to another) and the bucket to close, if any."""

    counted: int
    duplicate: int
    late: int
    closable: int | None


class Refused(NamedTuple):
    """Nothing was applied: Redis is at `next_a`. Load the positions anew and read on from there."""

    next_a: int


class Store(CloseStore, AlertStore):
    """Everything a worker asks of Redis, for one monitor, from one thread.

    Any call may raise StoreUnavailable (try again), StateDirty (`wipe`, then read the log from the start),
    SettingsChanged or SchemaTooNew. No call decides anything by a clock.
    """

    @classmethod
    def connect(cls, url: str, settings: StoreSettings, *, timeout: float = 10.0) -> Self:
        """Connect to `redis://`, `rediss://` or `unix://` and check that this Redis will do. `timeout` in seconds.

        Raises ConfigurationError for a Redis that is too old or may evict, StoreUnavailable if there is none.
        """
        client = redis.Redis.from_url(url, protocol=2, socket_timeout=timeout, socket_connect_timeout=timeout)
        store = cls(client, settings)
        store.check()
        return store

    def close(self) -> None:
        """Drop the connection."""
        self.client.close()

    def positions(self) -> Positions:
        """What has been applied. A partition without state is at 0: that is how an emptied Redis looks."""
        with self._errors():
            pipe = self.client.pipeline(transaction=True)
            pipe.hmget(self.keys.meta, ["dirty", "settings", "schema"])
            pipe.hgetall(self.keys.positions)
            (dirty, settings, schema), fields = pipe.execute()
        if dirty is not None:
            raise self._state_error(f"DIRTY {dirty.decode()}")
        self._check_settings(settings, schema)
        following = {int(name[2:]): int(value) for name, value in fields.items() if name.startswith(b"a:")}
        sources = {source: _decode_source(fields.get(field.encode())) for source, field in self._fields.items()}
        return Positions(following, sources)

    def apply(self, partition: int, a0: int, a1: int, step: Step) -> Applied | Refused:
        """Apply `step`, computed from the assessments records [a0, a1) of `partition`, in one round trip.

        `a0` is where the consumer stood (what it sought to, or the end of its last batch), `a1` the last offset read
        plus one. Refused unless Redis stands at `a0` and knows the sources as `step` does. Raises StateConflict if a
        message falls in a closed bucket.
        """
        keys = self.keys
        cases = [
            (
                placed.bucket,
                self.position(placed.contribution.position),
                int(placed.contribution.late),
                [raw(key) for key in placed.keys],
                raw(encode_contribution(placed.contribution)),
                placed.contribution.version,
            )
            for placed in step.placed
        ]
        reply = self.run(
            "apply",
            keys.for_apply(),
            self.settings.horizon,
            keys.partition(partition),
            a0,
            a1,
            self._roster,
            pack(self._states(step.sources)),
            pack(self._states(step.before)),
            pack([x for outcome, n in step.outcomes.items() for x in (outcome, n)]),
            pack(cases),
        )
        if reply[0] == 0:
            return Refused(reply[1])
        return Applied(*reply[1:])

    def _states(self, sources: Mapping[Source, SourceState]) -> list[str]:
        return [x for source, state in sources.items() for x in (self._fields[source], _encode_source(state))]

    def counters(self) -> dict[str, int]:
        """Messages by outcome: `counted`, `late`, `duplicate`, `dead_letter:<reason>`, and those of `Step`.

        Each message applied is in exactly one of `counted`, `late`, `duplicate` and `dead_letter:...`.
        """
        with self._errors():
            found: Mapping[bytes, bytes] = self.client.hgetall(self.keys.counters)
        return {name.decode(): int(value) for name, value in sorted(found.items()) if int(value)}

    def wipe(self) -> None:
        """Remove the monitor's state; the log is read from the start afterwards.

        Safe beside other workers: the state is marked dirty first, so nobody else writes to it meanwhile, and a second
        wipe that comes late finds the new state whole and stops.
        """
        meta = self.keys.meta
        with self._errors():
            dirty = self.client.hexists(meta, "dirty")
        if not dirty:
            self.run_bare("wipe", [meta], "mark")
        pattern = "".join(f"\\{c}" if c in "*?[]\\" else c for c in self.keys.prefix) + "*"
        cursor = 0
        while True:
            with self._errors():
                cursor, found = self.client.scan(cursor, match=pattern, count=_WIPE_SCAN)
            names = [name.decode() for name in found if name.decode() != meta]
            if self.run_bare("wipe", [meta, *names], "finish" if cursor == 0 else "remove") == 0 or cursor == 0:
                return


def _encode_source(state: SourceState) -> str:
    latest, floor = ("" if x is None else x for x in (state.latest, state.floor))
    return f"{state.next}|{latest}|{floor}"


def _decode_source(field: bytes | None) -> SourceState:
    if field is None:
        return SourceState()
    following, latest, floor = field.split(b"|")
    return SourceState(int(following), int(latest) if latest else None, int(floor) if floor else None)
