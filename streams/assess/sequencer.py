"""Order and contiguity of one source partition: what is read in order and finished in any order leaves in order.

Pure: no I/O and no clock. The caller

1. starts at the group's commit (`seek`), and tells of offsets that Kafka deleted unread (`gap`);
2. announces each message as it is read (`read`), and hands in its record whenever it is ready (`submit`);
3. produces what `release` gives, in that order, and reports each delivery (`delivered`);
4. commits `committable` to the group;
5. after a failed delivery calls `rewind`, seeks to what it returns, and goes on as from 2.

Every record covers `[lo, offset]`, lo being the offset after the previous record's, so detect sees whether anything is
missing, and messages that never existed (transaction markers, compaction) leave no hole. Dead letters are records too.

>>> s = Sequencer("reports", 0, committed=None)
>>> a, b = s.read(0), s.read(2)
>>> b.lo
1
>>> s.submit(b, DeadLetter("reports", 0, b.lo, 2, "unreadable")), s.release()
(True, [])
>>> s.submit(a, DeadLetter("reports", 0, a.lo, 0, "unreadable")), [record.offset for _, record in s.release()]
(True, [0, 2])
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from streams.errors import StateConflict
from streams.events import Assessment, AssessmentRecord, DeadLetter, Gap, Tick

__all__ = ["Released", "Sequencer", "Ticket"]


class Ticket(NamedTuple):
    """A message that was read: what its record must cover, and its number among all that this sequencer announced.

    A rewind does not set the numbers back, so a ticket from before it fits nothing any more.
    """

    lo: int
    offset: int
    number: int


class Released(NamedTuple):
    """A record to produce; `ticket` goes back to `delivered`."""

    ticket: Ticket
    record: AssessmentRecord


@dataclass(slots=True)
class _Slot:
    ticket: Ticket
    record: AssessmentRecord | None
    released: bool = False
    delivered: bool = False


class Sequencer:
    """One source partition as one worker sees it, from assignment to revocation.

    `committed` is the group's commit, the next offset to read, or None if there is none yet. A new assignment needs a
    new sequencer: what an old one still holds is void.
    """

    def __init__(self, topic: str, partition: int, committed: int | None) -> None:
        self.topic = topic
        self.partition = partition
        self._commit = committed or 0
        self._lo = self._commit
        self._number = 0
        self._slots: deque[_Slot] = deque()  # in order of reading; the first is the oldest that is not delivered

    @property
    def seek(self) -> int:
        """The offset to read from at the start: the first that no delivered record covers."""
        return self._commit

    @property
    def committable(self) -> int:
        """The offset to commit: everything below it is covered by delivered records."""
        return self._commit

    @property
    def position(self) -> int:
        """The first offset that no announced record covers."""
        return self._lo

    @property
    def pending(self) -> int:
        """Records announced and not yet delivered."""
        return len(self._slots)

    def read(self, offset: int) -> Ticket:
        """Announce a message, in the order of its partition. Raises StateConflict if `offset` was announced before."""
        if offset < self._lo:
            raise StateConflict(f"{self.topic}[{self.partition}]: read {offset} after {self._lo - 1}")
        return self._append(offset, None)

    def gap(self, first: int) -> None:
        """Tell that `first` is the first offset Kafka still has: what was not read before it is gone.

        Gives an explicit record for the missing range, if there is one.
        """
        if first > self._lo:
            self._append(first - 1, Gap(self.topic, self.partition, self._lo, first - 1))

    def tick(self, received_at: int) -> None:
        """Let the partition's time go on to `received_at` behind what was read so far, as if a message had said it."""
        ticket = Ticket(self._lo, self._lo - 1, self._next_number())
        self._slots.append(_Slot(ticket, Tick(self.topic, self.partition, self._lo, received_at)))

    def submit(self, ticket: Ticket, record: Assessment | DeadLetter) -> bool:
        """Hand in the record of a message. False: it was read before the last rewind and will be read again.

        Raises StateConflict if the record does not cover what the ticket says, or was handed in before.
        """
        slot = self._find(ticket)
        if slot is None:
            return False
        covers = (record.topic, record.partition, record.lo, record.offset)
        if covers != (self.topic, self.partition, ticket.lo, ticket.offset):
            raise StateConflict(f"{self.topic}[{self.partition}]: record {covers} for [{ticket.lo}, {ticket.offset}]")
        if slot.record is not None:
            raise StateConflict(f"{self.topic}[{self.partition}]: two records for offset {ticket.offset}")
        slot.record = record
        return True

    def release(self) -> list[Released]:
        """Records that may be produced now: all before them are released. Each comes once."""
        ready: list[Released] = []
        for slot in self._slots:
            if slot.record is None:
                break
            if not slot.released:
                slot.released = True
                ready.append(Released(slot.ticket, slot.record))
        return ready

    def delivered(self, ticket: Ticket) -> int:
        """Report that Kafka acknowledged a released record; what `committable` is now."""
        slot = self._find(ticket)
        if slot is not None:
            slot.delivered = True
            while self._slots and self._slots[0].delivered:
                self._commit = max(self._commit, self._slots.popleft().ticket.offset + 1)
        return self._commit

    def rewind(self) -> int:
        """Drop all that is not delivered, after a failed delivery; the offset to read from again.

        Records behind the failed one may have arrived: detect ignores them, since they start beyond what it expects,
        and takes them when they come again.
        """
        self._slots.clear()
        self._lo = self._commit
        return self._commit

    def _append(self, offset: int, record: AssessmentRecord | None) -> Ticket:
        ticket = Ticket(self._lo, offset, self._next_number())
        self._slots.append(_Slot(ticket, record))
        self._lo = offset + 1
        return ticket

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _find(self, ticket: Ticket) -> _Slot | None:
        if not self._slots:
            return None
        index = ticket.number - self._slots[0].ticket.number
        return self._slots[index] if 0 <= index < len(self._slots) else None
