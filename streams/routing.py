"""Which monitor reports which bucket of an alert stream, and the records that say so. Pure.

A stream has a stable name, that of the monitor it began with. Promotions let another monitor report it from a bucket
on. They are records on one topic with one partition, kept for ever: their order decides, and everybody who has read up
to the same offset knows the same. A promotion is two records: `Proposed`, from which on nobody hands out an alert of
its buckets, and `Decided`, written by whoever has looked, after the proposal, whether any of these buckets was reported
before (`streams.cutover.promotion`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import Struct

from streams.events import Alert
from streams.identity import alert_id

__all__ = ["Cut", "Decided", "Forked", "Proposed", "Record", "Route", "Step", "decode_cutover", "route_of"]


class Cut(Struct, frozen=True, array_like=True):
    """Of a source partition: records of offsets below `offset` come from the old monitor."""

    topic: str
    partition: int
    offset: int


class Forked(Struct, frozen=True, tag_field="type", tag="forked"):
    """`monitor` takes the assessments of `of` up to `cuts`, none of a bucket from `bucket` on. `done`: they are there.

    `ends`: of each assessments partition of `of` the end of what was looked at. `at`, `by` and `why` are for people.
    """

    monitor: str
    of: str
    bucket: int
    bucket_ms: int
    cuts: list[Cut]
    ends: list[int]
    done: bool
    at: str
    by: str
    why: str


class Proposed(Struct, frozen=True, tag_field="type", tag="proposed"):
    """`monitor` shall report the stream from `bucket` on. Ignored while another proposal is undecided."""

    id: str
    stream: str
    monitor: str
    bucket: int
    bucket_ms: int
    at: str
    by: str
    why: str


class Decided(Struct, frozen=True, tag_field="type", tag="decided"):
    """What came of the proposal `id`; the first decision counts. Not confirmed: everything stays as it was."""

    id: str
    stream: str
    confirmed: bool
    at: str
    by: str


Record = Forked | Proposed | Decided
decode_cutover = msgspec.json.Decoder(Record).decode


class Step(NamedTuple):
    """`monitor` reports from `bucket` on (None: from the beginning), until further notice."""

    bucket: int | None
    monitor: str


class Route(NamedTuple):
    """Who reports a stream: by `steps` in their order, the later one counts. `pending`: the undecided proposal."""

    stream: str
    steps: tuple[Step, ...] = ()
    pending: Proposed | None = None

    def owner(self, bucket: int) -> str | None:
        """The one monitor that reports the bucket; None while that is undecided.

        >>> Route("live", (Step(100, "live-2"), Step(120, "live"))).owner(110)
        'live-2'
        """
        if self.pending is not None and bucket >= self.pending.bucket:
            return None
        reached = (step for step in reversed(self.steps) if step.bucket is None or step.bucket <= bucket)
        return next(reached, Step(None, self.stream)).monitor

    @property
    def last(self) -> Step:
        """Who reports now, but for what is pending."""
        return self.steps[-1] if self.steps else Step(None, self.stream)

    def owns(self, alert: Alert) -> bool:
        """Whether the stream reports this revision."""
        return self.owner(alert.bucket) == alert.monitor

    def named(self, alert: Alert) -> Alert:
        """The alert as the stream hands it out: of a pair the id stays the same whoever reports it."""
        if alert.monitor == self.stream:
            return alert
        return msgspec.structs.replace(alert, id=alert_id(self.stream, alert.drug, alert.event, alert.kind))


def route_of(stream: str, records: Iterable[Record]) -> Route:
    """The route after these records, in their order."""
    route = Route(stream)
    for record in records:
        if isinstance(record, Forked) or record.stream != stream:
            continue
        if isinstance(record, Proposed):
            route = route if route.pending is not None else route._replace(pending=record)
        elif route.pending is not None and route.pending.id == record.id:
            added = (Step(route.pending.bucket, route.pending.monitor),) if record.confirmed else ()
            route = Route(stream, route.steps + added)
    return route
