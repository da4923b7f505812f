"""The publisher: compares the alerts in Redis with the topic and produces where the topic is behind.

It does no I/O itself and keeps nothing that could not be lost: a new one that has read the topic goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from streams.alerts.revisions import Rank, Revision, behind, is_provisional, orphans, rank_of
from streams.events import Alert, decode_alert, encode
from streams.state.alerts import AlertChanges

__all__ = ["Message", "Publisher", "Wanted"]


class Wanted(Protocol):
    """The part of the store that the publisher reads."""

    def alerts_since(self, cursor: str = "") -> AlertChanges:
        """Alerts that changed since `cursor`."""

    def alert_records(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Newest records."""


class Message(NamedTuple):
    """What to produce: key and value of a record on the alerts topic."""

    revision: Revision
    value: bytes


class Publisher:
    """One worker's publisher. Several may run; they cost repetitions, not correctness.

    Feed it the alerts topic with `observe`, from the beginning and without end; `prepare` only once the topic has been
    read to where it ended when the worker started, or it repeats what is there. What it gives counts as produced until
    `failed` says otherwise.
    """

    def __init__(self, store: Wanted) -> None:
        self._store = store
        self._cursor = ""
        self._want: dict[str, Rank] = {}
        self._view: dict[str, Rank] = {}
        self._open: dict[str, bytes] = {}  # provisional records on the topic: a withdrawal is made from them
        self._sent: dict[str, Rank] = {}  # produced and not seen on the topic yet
        self._dirty: set[str] = set()

    def observe(self, alert_id: str, value: bytes | None) -> None:
        """Take in the next record of the topic; None is a tombstone."""
        self._dirty.add(alert_id)
        if value is None:
            self._view.pop(alert_id, None)
            self._open.pop(alert_id, None)
            return
        rank = rank_of(decode_alert(value))
        self._view[alert_id] = rank
        if is_provisional(rank):
            self._open[alert_id] = value
        else:
            self._open.pop(alert_id, None)
        if self._sent.get(alert_id) == rank:
            del self._sent[alert_id]

    def failed(self, revision: Revision) -> None:
        """A record was not delivered: it is wanted again."""
        if self._sent.get(revision.id) == revision.rank:
            del self._sent[revision.id]
        self._dirty.add(revision.id)

    def prepare(self) -> list[Message]:
        """What the topic lacks, to be produced now. An empty list: it holds what Redis wants."""
        settled = self._read()
        view = self._known(self._dirty | self._open.keys())
        missing = behind(self._want, view, settled, self._dirty)
        records = self._store.alert_records([revision.id for revision in missing])
        messages = []
        for revision in missing:
            record = records.get(revision.id)
            if record is not None:  # else Redis was emptied since: the next look begins anew
                messages.append(Message(Revision(revision.id, rank_of(decode_alert(record))), record))
        for revision in orphans(self._want, view, settled, self._open.keys()):
            messages.append(Message(revision, encode(_withdrawn(decode_alert(self._open[revision.id])))))
        self._sent.update((message.revision.id, message.revision.rank) for message in messages)
        self._dirty = {revision.id for revision in missing if revision.id not in records}
        return messages

    def _known(self, ids: Iterable[str]) -> dict[str, Rank]:
        """The topic as it will be when all that was sent is on it."""
        seen = {i: [m[i] for m in (self._view, self._sent) if i in m] for i in ids}
        return {alert_id: max(ranks) for alert_id, ranks in seen.items() if ranks}

    def _read(self) -> int | None:
        changes = self._store.alerts_since(self._cursor)
        if changes.restart:
            self._want.clear()
        self._cursor = changes.cursor
        self._dirty |= changes.changed.keys()
        for alert_id, (raised, bucket) in changes.changed.items():
            self._want[alert_id] = (raised, bucket, False)
        return changes.settled


def _withdrawn(alert: Alert) -> Alert:
    return msgspec.structs.replace(alert, state="withdrawn")
