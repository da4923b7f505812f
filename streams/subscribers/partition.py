"""What a stream of alerts knows of one partition of the topic while it is its own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import msgspec
import structlog
from confluent_kafka import Message

from streams.errors import SchemaMismatch
from streams.events import Alert, decode_alert
from streams.routing import Route
from streams.subscribers.revisions import Revisions

__all__ = ["Partition"]

log = structlog.get_logger(__name__)


@dataclass
class Partition:
    """One partition. `taken` is the offset that a commit would write.

    With a `route` only what it owns is handed out, under the stream's ids. Records below `start` were handed out under
    the route `before`, if that owned them: they come again only if they are owned now and were not then.
    """

    number: int
    start: int  # below it records only tell which revisions are known already
    end: int  # the end when the stream was opened
    taken: int
    committed: int
    done: bool = False
    route: Route | None = None
    before: Route | None = None
    empty: bool = False
    seen: int = 0  # up to where records were looked at
    target: int = 0  # the version of `route`
    version: int = 0  # that under which all below `taken` was handed out
    told: int = 0  # the version that the commit tells
    provisional: dict[str, Alert] = field(default_factory=dict)  # handed out and still so, by the id as published
    revisions: Revisions = field(default_factory=Revisions)

    @property
    def is_settled(self) -> bool:
        """Whether all below `start` was looked at under `route`."""
        return self.seen >= self.start

    @property
    def is_ahead(self) -> bool:
        """Whether a commit would say something new."""
        moved = self.taken > max(self.committed, 0)
        return moved or (self.route is not None and self.taken > 0 and self.version != self.told)

    @property
    def metadata(self) -> str:
        """What a commit says of the route; nothing without one."""
        return "" if self.route is None else f"route:{self.version}"

    def anew(self, route: Route, version: int) -> Partition:
        """The partition as it is to be read from its beginning under another route."""
        return dataclasses.replace(
            self,
            start=max(self.start, self.seen),
            done=self.empty,
            route=route,
            before=self.route if self.is_settled else self.before,
            seen=0,
            target=version,
            version=version if max(self.start, self.seen) == 0 else self.version,
            revisions=Revisions(),
        )

    def offer(self, message: Message, topic: str, *, skip: bool) -> Alert | SchemaMismatch | None:
        """The alert to hand out for the next message: a newer revision than those seen, and ours. None: nothing.

        What is no alert is the error that says so, or with `skip` a line in the log.
        """
        value, offset = message.value(), message.offset()
        self.seen = max(self.seen, offset + 1)
        if value is None:  # a tombstone: the alert is forgotten
            self.revisions.forget((message.key() or b"").decode("utf-8", "replace"))
            return None
        try:
            alert = decode_alert(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            where = f"{topic}/{message.partition()}/{offset}"
            if offset < self.start:
                return None
            if not skip:
                return SchemaMismatch(f"{where} holds no alert ({type(error).__name__})")
            log.warning("unreadable_alert", at=where, error=type(error).__name__)
            return None
        if self.route is not None:
            return self._routed(alert, self.route, offset, value)
        is_news = self.revisions.offer(alert, offset, value)
        return alert if is_news and offset >= self.start else None

    def _routed(self, alert: Alert, route: Route, offset: int, value: bytes) -> Alert | None:
        """What the stream hands out. Only what is the stream's is compared with what came before: the copy that a
        promotion makes of an alert may lie behind a later revision that is another's."""
        before = self.before if offset < self.start else None
        owner = route.owner(alert.bucket)
        if owner == alert.monitor:
            if not self.revisions.offer(alert, offset, value):
                return None
            if alert.state == "provisional":
                self.provisional[alert.id] = alert
            else:
                self.provisional.pop(alert.id, None)
            return None if before is not None and before.owns(alert) else route.named(alert)
        if owner is None:  # undecided: it comes when that is decided
            return None
        shown = self.provisional.pop(alert.id, None)
        if shown is None and before is not None and alert.state == "provisional":
            shown = alert if before.owner(alert.bucket) in (alert.monitor, None) else None
        if shown is None:
            return None
        gone = msgspec.structs.replace(shown, state="withdrawn")  # another monitor reports its bucket now
        return route.named(gone) if self.revisions.offer(gone, offset, b"") else None
