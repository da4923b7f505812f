"""Which of an alert's revisions a subscriber sees: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from streams.events import Alert, rank

__all__ = ["AlertFilter", "Revisions"]


@dataclass(frozen=True)
class AlertFilter:
    """What a subscriber wants to see; None is everything. Names are compared without regard to case."""

    drug: str | None = None
    event: str | None = None
    level: str | None = None
    states: frozenset[str] | None = None
    monitor: str | None = None

    def matches(self, alert: Alert) -> bool:
        """Whether the alert passes."""
        return (
            (self.drug is None or self.drug.casefold() == alert.drug.casefold())
            and (self.event is None or self.event.casefold() == alert.event.casefold())
            and (self.level is None or self.level == alert.level)
            and (self.states is None or alert.state in self.states)
            and (self.monitor is None or self.monitor == alert.monitor)
        )


class _Seen(NamedTuple):
    rank: tuple[bool, int, bool]
    offset: int
    content: int


@dataclass
class Revisions:
    """The newest revision of each alert among those read from one partition, in order of offset."""

    _seen: dict[str, _Seen] = field(default_factory=dict)

    def offer(self, alert: Alert, offset: int, value: bytes) -> bool:
        """Whether this is news: not of lower rank than one before, nor the same once more.

        A revision of equal rank with other content is news (a provisional alert grows within its bucket). The same
        revision comes twice when two workers publish it.
        """
        known, new = self._seen.get(alert.id), _Seen(rank(alert), offset, hash(value))
        if known is not None and (new.rank < known.rank or (new.rank, new.content) == (known.rank, known.content)):
            return False
        self._seen[alert.id] = new
        return True

    def forget(self, alert_id: str) -> None:
        """A tombstone was read: the alert may come back at any rank."""
        self._seen.pop(alert_id, None)

    def is_newest(self, alert: Alert, offset: int) -> bool:
        """Whether the newest revision of this alert is the one at `offset`."""
        known = self._seen.get(alert.id)
        return known is not None and known.offset == offset
