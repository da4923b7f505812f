"""The source topics beside the recount: every message there must have had its one outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from streams.audit.recount import Position, Recount
from streams.monitors import Monitor
from streams.settings import Settings
from streams.subscribers.reading import TopicReader

__all__ = ["SourceCount", "count_sources"]


class SourceCount(NamedTuple):
    """Messages of the source topics without an outcome below the positions applied (a fault), and above (work left)."""

    present: int
    missing: list[Position]
    waiting: int


def count_sources(settings: Settings, monitor: Monitor, recount: Recount) -> SourceCount:
    """Look up the outcome of every message that the source topics still hold.

    A message inside a recorded gap is missing too: the gap says that it had been deleted. Raises what TopicReader does.
    """
    known: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for outcome in recount.outcomes():
        if outcome.outcome != "gap":
            topic, partition, offset = outcome.position
            known[topic, partition].add(offset)
    present, waiting, missing = 0, 0, []
    for topic, partition, offset in _positions(settings, monitor):
        present += 1
        following, _ = recount.sources.get((topic, partition), (0, None))
        if offset >= following:
            waiting += 1
        elif offset not in known[topic, partition]:
            missing.append((topic, partition, offset))
    return SourceCount(present, missing, waiting)


def _positions(settings: Settings, monitor: Monitor) -> Iterator[Position]:
    for topic in monitor.topics:
        with TopicReader(settings, monitor.on_broker(topic)) as reader:
            for message in reader.messages():
                yield topic, message.partition(), message.offset()
