"""What a stream of alerts knows of one partition of the topic while it is its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import structlog
from confluent_kafka import Message

from streams.errors import SchemaMismatch
from streams.events import Alert, decode_alert
from streams.subscribers.revisions import Revisions

__all__ = ["Partition"]

log = structlog.get_logger(__name__)


@dataclass
class Partition:
    """One partition. `taken` is the offset that a commit would write."""

    number: int
    start: int  # below it records only tell which revisions are known already
    end: int  # the end when the stream was opened
    taken: int
    committed: int
    done: bool = False
    revisions: Revisions = field(default_factory=Revisions)

    def offer(self, message: Message, topic: str, *, skip: bool) -> Alert | SchemaMismatch | None:
        """The alert of the next message if it is a newer revision than those seen; None for what is not.

        What is no alert is the error that says so, or with `skip` a line in the log.
        """
        value = message.value()
        if value is None:  # a tombstone: the alert is forgotten
            self.revisions.forget((message.key() or b"").decode("utf-8", "replace"))
            return None
        try:
            alert = decode_alert(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            where = f"{topic}/{message.partition()}/{message.offset()}"
            if not skip:
                return SchemaMismatch(f"{where} holds no alert ({type(error).__name__})")
            log.warning("unreadable_alert", at=where, error=type(error).__name__)
            return None
        return alert if self.revisions.offer(alert, message.offset(), value) else None
