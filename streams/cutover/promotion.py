"""Promotions: another monitor reports an alert stream from a bucket on.

The protocol (docs/decisions/cutover.md says why it is right). P is the first bucket that the outgoing monitor, which
reports the stream now, has not closed:

1. `Proposed` is appended to the cutover topic. From now on readers hand out nothing of P and later buckets.
2. Only then it is looked whether the outgoing monitor still has not closed P, and whether all that it raised before is
   on the alerts topic, and nothing of P or later. If not, the proposal fails: somebody may have been told.
3. Else the alerts that the outgoing monitor has reported are copied under keys of their own: compaction would replace
   them by later revisions, which are no longer the stream's.
4. `Decided` is appended. The first decision counts.

Each step may be the last of a process: whoever promotes next, or only asks, finishes what is pending.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import NamedTuple, Protocol

import msgspec

from streams.cutover.log import Outgoing, now, produce, write
from streams.errors import ConfigurationError
from streams.events import Alert, decode_alert
from streams.monitors import Monitor
from streams.routing import Decided, Proposed, Record, Route, route_of
from streams.settings import Settings
from streams.state.session import StoreSettings
from streams.state.store import Store
from streams.subscribers.cutovers import CutoverLog
from streams.subscribers.reading import TopicReader

__all__ = ["Board", "KafkaBoard", "Published", "Standing", "Wish", "give_up", "promoting", "settling"]


class Published(NamedTuple):
    """A record on the alerts topic."""

    alert: Alert
    key: bytes
    value: bytes
    partition: int


class Standing(NamedTuple):
    """Where a monitor is: its last closed bucket, and the bucket of the newest revision of each alert it raised."""

    closed: int | None
    raised: dict[str, int]


class Board(Protocol):
    """What a promotion sees and writes."""

    def records(self) -> list[Record]:
        """What is on the cutover topic now."""

    def write(self, record: Record) -> None:
        """Append to it."""

    def standing(self, monitor: str) -> Standing:
        """Where `monitor` is now."""

    def alerts(self) -> Iterable[Published]:
        """What is on the alerts topic now, but what is no alert."""

    def copy(self, records: Iterable[Outgoing]) -> None:
        """Append to it."""


class Wish(NamedTuple):
    """What is to be promoted: `monitor` shall report `stream`. `bucket`: from which on, if that is not left open."""

    stream: str
    monitor: str
    bucket: int | None
    bucket_ms: int
    by: str
    why: str


def promoting(board: Board, wish: Wish, clock: Callable[[], str] = now) -> Iterator[str]:
    """Promote, step by step: the name of each step before it is taken. What is pending is finished first.

    Raises ConfigurationError if somebody else was faster, or it can't be done now: nothing has changed then.
    """
    yield from settling(board, wish.stream, wish.by, clock)
    yield "look"
    route = route_of(wish.stream, board.records())
    if route.last.monitor == wish.monitor:
        return
    bucket = _boundary(route, board.standing(route.last.monitor), wish.bucket)
    _refuse(_look(board, route, bucket)[0])
    yield "propose"
    proposal = Proposed(
        secrets.token_hex(6), wish.stream, wish.monitor, bucket, wish.bucket_ms, clock(), wish.by, wish.why
    )
    board.write(proposal)
    pending = route_of(wish.stream, board.records()).pending
    if pending != proposal:
        raise ConfigurationError(
            f"another promotion of stream {wish.stream} came first: look at it, then promote again"
        )
    yield from settling(board, wish.stream, wish.by, clock)
    if not any(r.confirmed for r in board.records() if isinstance(r, Decided) and r.id == proposal.id):
        _refuse(_look(board, route, bucket)[0])
        raise ConfigurationError(f"the promotion was given up by somebody else: look at stream {wish.stream}")


def settling(board: Board, stream: str, by: str, clock: Callable[[], str] = now) -> Iterator[str]:
    """Decide what is pending, if anything is, step by step."""
    route = route_of(stream, board.records())
    pending, before = route.pending, route._replace(pending=None)
    if pending is None:
        return
    yield "scan"
    hindrance, reported = _look(board, before, pending.bucket)
    if hindrance is None:
        yield "copy"  # what was seen in the same look: by now there may be later revisions
        board.copy((f"{r.alert.id}@{pending.id}".encode(), r.value, r.partition) for r in reported)
    yield "decide"
    board.write(Decided(pending.id, stream, hindrance is None, clock(), by))


def give_up(board: Board, stream: str, by: str, clock: Callable[[], str] = now) -> None:
    """Decide against what is pending: everything stays as it was. Needs nothing but the cutover topic."""
    pending = route_of(stream, board.records()).pending
    if pending is not None:
        board.write(Decided(pending.id, stream, False, clock(), by))


def _boundary(route: Route, standing: Standing, wanted: int | None) -> int:
    """The first bucket that can be taken over now."""
    reported = None if standing.closed is None else standing.closed + 1
    first = max((b for b in (reported, route.last.bucket) if b is not None), default=wanted)
    if first is None:
        raise ConfigurationError(f"{route.last.monitor} has closed no bucket yet: say from which on with --at")
    if wanted is not None and wanted != first:
        raise ConfigurationError(
            f"{route.last.monitor} has closed everything before bucket {first}: only that one can be the next one's "
            f"first now, not {wanted}"
        )
    return first


def _look(board: Board, route: Route, bucket: int) -> tuple[str | None, list[Published]]:
    """What forbids that `bucket` and all after it are taken from the monitor that reports them (None: nothing), and the
    newest revision of each alert that it has reported."""
    monitor = route.last.monitor
    standing = board.standing(monitor)
    if standing.closed is not None and standing.closed >= bucket:
        return f"{monitor} has closed bucket {standing.closed} meanwhile: promote again", []
    missing, reported = dict(standing.raised), dict[str, Published]()
    for published in board.alerts():
        alert = published.alert
        if alert.monitor != monitor or alert.state not in ("raised", "updated"):
            continue
        if alert.bucket >= bucket:
            back = f"{monitor} has reported bucket {alert.bucket} before; its state was set back: let it catch up first"
            return back, []
        if alert.bucket >= missing.get(alert.id, alert.bucket):
            missing.pop(alert.id, None)
        if published.key == alert.id.encode() and route.owner(alert.bucket) == monitor:
            reported[alert.id] = published
    if missing:
        return f"{len(missing)} alerts of {monitor} are not on the alerts topic yet: let its worker publish them", []
    return None, list(reported.values())


def _refuse(hindrance: str | None) -> None:
    if hindrance is not None:
        raise ConfigurationError(hindrance)


class KafkaBoard:
    """The topics of a Kafka, and the state of `monitors` in a Redis. A context manager."""

    def __init__(self, settings: Settings, monitors: Iterable[Monitor], redis_url: str) -> None:
        self._settings = settings
        self._monitors = {monitor.name: monitor for monitor in monitors}
        self._redis_url = redis_url
        self._log = CutoverLog(settings)

    def __enter__(self) -> KafkaBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def records(self) -> list[Record]:
        """See `Board`."""
        self._log.refresh()
        return self._log.records

    def write(self, record: Record) -> None:
        """See `Board`."""
        write(self._settings, record)

    def standing(self, monitor: str) -> Standing:
        """See `Board`. Raises ConfigurationError for a monitor whose file was not given."""
        if monitor not in self._monitors:
            raise ConfigurationError(f"{monitor} reports the stream now: name its file with --over")
        with closing(Store.connect(self._redis_url, StoreSettings.of(self._monitors[monitor]))) as store:
            closed = store.base().closed  # first: a close that comes in between shows in what follows
            changes = store.alerts_since("")
        return Standing(closed, {i: bucket for i, (raised, bucket) in changes.changed.items() if raised})

    def alerts(self) -> Iterator[Published]:
        """See `Board`."""
        with TopicReader(self._settings, self._settings.alerts_topic) as reader:
            for message in reader.messages():
                try:
                    alert = decode_alert(message.value() or b"")
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    continue
                yield Published(alert, message.key() or b"", message.value(), message.partition())

    def copy(self, records: Iterable[Outgoing]) -> None:
        """See `Board`."""
        produce(self._settings, self._settings.alerts_topic, records)
