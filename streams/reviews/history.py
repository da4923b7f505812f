"""What the entries of the topic `reviews` add up to: the chain, its faults, and where each alert stands. Pure.

The log decides who came first. Two reviewers who write at once both continue the same entry; the one with the smaller
offset is the next entry of the history, the other is *void* and its writer tries again with what it then reads
(`desk.py`). So a fork is told from a fault: a void entry continues an entry that is there but is not the last one; a
fault continues one that is not there, or has other bytes than its name says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from streams.reviews.entry import DECISIONS, ReviewEntry, ReviewStatus, decode_entry, name_of

__all__ = ["Fault", "History", "Review", "Reviewed"]


class Reviewed(NamedTuple):
    """An entry of the history, its name and its offset on the topic."""

    entry: ReviewEntry
    name: str
    offset: int


class Fault(NamedTuple):
    """A place where the history is not what was written: the entry at `offset`, and what is wrong with it."""

    offset: int
    number: int | None
    what: str


@dataclass(frozen=True)
class Review:
    """What people have said of one alert so far. `decided`: the entry of the last decision."""

    status: ReviewStatus = "unreviewed"
    assignee: str = ""
    entries: tuple[Reviewed, ...] = ()
    decided: ReviewEntry | None = None

    def grown(self, cases: int) -> int:
        """How many cases the alert has gained since the last decision; 0 without one."""
        return 0 if self.decided is None else max(0, cases - self.decided.cases)

    def is_quiet(self, cases: int, growth: float) -> bool:
        """Whether a refuted or closed alert stays quiet: its cases have not grown by the factor since."""
        if self.decided is None or self.status not in ("refuted", "closed"):
            return False
        return cases < growth * self.decided.cases

    def after(self, reviewed: Reviewed) -> Review:
        """With one more entry."""
        entry, entries = reviewed.entry, (*self.entries, reviewed)
        if entry.action in DECISIONS:
            return Review(DECISIONS[entry.action], self.assignee, entries, entry)
        assignee = entry.assignee if entry.action == "assign" else self.assignee
        return Review(self.status, assignee, entries, self.decided)


UNREVIEWED = Review()


@dataclass
class History:
    """The review history read so far; give it the topic's records in order of offset."""

    head: str = ""
    number: int = 0
    void: list[Reviewed] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _names: set[str] = field(default_factory=lambda: {""})
    _alerts: dict[str, Review] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        """Whether the entry of this name is in the history."""
        return name != "" and name in self._names

    def of(self, alert: str) -> Review:
        """What people have said of an alert."""
        return self._alerts.get(alert, UNREVIEWED)

    def alerts(self) -> Iterable[tuple[str, Review]]:
        """Each alert that anything was said of, in the order of its last entry."""
        return sorted(self._alerts.items(), key=lambda item: item[1].entries[-1].offset)

    def offer(self, key: bytes | None, value: bytes | None, offset: int) -> Reviewed | None:
        """Take in the next record; the entry if it is now part of the history, None if it is void or no entry.

        After a fault the history goes on with what follows, so that what people said later is not hidden by it.
        """
        name = (key or b"").decode("ascii", "replace")
        if value is None:
            self.faults.append(Fault(offset, None, f"entry {name[:12]} was deleted"))
            return None
        try:
            entry = decode_entry(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.faults.append(Fault(offset, None, f"no review entry ({type(error).__name__})"))
            return None
        if name_of(value) != name:
            self.faults.append(Fault(offset, entry.number, "its content is not what its name says: it was changed"))
            return None
        if name in self._names:  # the same bytes once more
            return None
        reviewed = Reviewed(entry, name, offset)
        if entry.previous != self.head:
            if entry.previous in self._names:
                self.void.append(reviewed)
                return None
            missing = f"the entry before it, {entry.previous[:12]}, is missing"
            self.faults.append(Fault(offset, entry.number, missing))
        elif entry.number != self.number + 1:
            self.faults.append(Fault(offset, entry.number, f"its number should be {self.number + 1}"))
        self._alerts[entry.alert] = self.of(entry.alert).after(reviewed)
        self.head, self.number = name, entry.number
        self._names.add(name)
        return reviewed
