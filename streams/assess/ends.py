"""Partitions that are read to their end: which get a clock tick, and when a bounded run is over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import structlog

from streams.assess.run import Run
from streams.errors import TransportError
from streams.transport import BatchSource, Partition

__all__ = ["all_ended", "end_mark", "idle"]

log = structlog.get_logger(__name__)


def idle(runs: Iterable[Run], live: Collection[str], floor: int) -> Iterator[Run]:
    """Runs of live topics that were quiet since the last call and are settled at their end, where the clock's `floor`
    lets them pass another bucket. Notes in each run what it was asked."""
    for run in runs:
        quiet, run.quiet = run.quiet, True
        settled = quiet and run.at_end and not run.sequencer.pending and not run.rewound
        if settled and run.source[0] in live and (run.floor is None or floor > run.floor):
            run.floor = floor
            yield run


def end_mark(offset: int) -> str:
    """The metadata of a commit that says: everything up to this end is assessed."""
    return f"end:{offset}"


async def all_ended(source: BatchSource, roster: Collection[Partition], until: Mapping[Partition, int]) -> bool:
    """Whether the group's commits say so of every partition of the roster, whoever owns it."""
    try:
        commits = await source.committed(roster)
    except TransportError as error:
        log.info("commits_unknown", reason=str(error))
        return False
    return all(commits[partition][1] == end_mark(until[partition]) for partition in roster)
