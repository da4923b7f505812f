"""Which records of an assessments log count for something: the rule of the chain, for readers of the whole log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from streams.events import Assessment, AssessmentRecord, Tick

__all__ = ["Chain", "Source", "Taking"]

Source = tuple[str, int]  # (topic, partition) of a source partition


class Chain:
    """Takes the records of an assessments partition in order. `next`: of each source the first offset not covered.

    >>> from streams.events import DeadLetter
    >>> chain = Chain()
    >>> covered = ((0, 2), (0, 2), (4, 5), (3, 3))
    >>> [chain.take(DeadLetter("reports", 0, lo, offset, "unreadable")) for lo, offset in covered]
    [0, None, None, 3]
    """

    def __init__(self) -> None:
        self.next: defaultdict[Source, int] = defaultdict(int)

    def take(self, record: AssessmentRecord) -> int | None:
        """The first source offset that the record adds; None if it repeats what was there, came before its turn, or is
        a tick that is void."""
        source = (record.topic, record.partition)
        following = self.next[source]
        if isinstance(record, Tick):
            return following if record.at == following else None
        if not record.lo <= following <= record.offset:
            return None
        self.next[source] = record.offset + 1
        return following


class Taking:
    """Which records of an old monitor's log a fork takes: of each source partition those that count for something,
    until the first that says that time has got to `until_ms`.

    So none of them counts in a bucket that begins at `until_ms` or later, whatever order the messages came in; what
    comes behind the cut may be of an earlier bucket (disorder), and is scored anew.
    """

    def __init__(self, sources: Iterable[Source], until_ms: int) -> None:
        self._sources = frozenset(sources)
        self._until = until_ms
        self._chain = Chain()
        self._cuts: dict[Source, int] = {}

    def takes(self, record: AssessmentRecord) -> bool:
        """Whether the next record of the log is taken."""
        source = (record.topic, record.partition)
        if source in self._cuts or source not in self._sources:
            return False
        first = self._chain.take(record)
        if first is None:
            return False
        if isinstance(record, Assessment | Tick) and record.received_at >= self._until:
            self._cuts[source] = first
            return False
        return True

    @property
    def reached(self) -> frozenset[Source]:
        """Source partitions whose time has got there."""
        return frozenset(self._cuts)

    def cuts(self) -> dict[Source, int]:
        """Of each source partition the first offset whose record is not taken."""
        return {source: self._cuts.get(source, self._chain.next.get(source, 0)) for source in sorted(self._sources)}
