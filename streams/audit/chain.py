"""Which records of an assessments log count for something: the rule of the chain, for readers of the whole log."""

from __future__ import annotations

from collections import defaultdict

from streams.events import AssessmentRecord, Tick

__all__ = ["Chain"]

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
