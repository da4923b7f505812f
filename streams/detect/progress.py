"""The chain: from what Redis has applied and the next records of an assessments partition to what is to be applied.

A record covers the source offsets `[lo, offset]`. With `next` the first source offset not yet applied it is

- applied iff `lo <= next <= offset`; then `next` becomes `offset + 1`;
- a repetition iff `offset < next`: the stage before was restarted or two of its workers overlapped;
- beyond iff `lo > next`: a delivery failed before it. It is ignored; assess sends the missing record again and then
  this one. Should that never come, the counter `beyond` is the alarm.

A tick covers nothing and is valid iff its `at` equals `next`: a tick that a worker decided before it lost the
partition must not overtake messages that it did not know of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from streams.detect.contribution import Contribution, contribution_of
from streams.detect.deduplication import keys_of
from streams.detect.time import Timing
from streams.errors import StateConflict
from streams.events import Assessment, AssessmentRecord, DeadLetter, Gap, Tick

__all__ = ["Placed", "Source", "SourceState", "Step", "advance", "holding"]

Source = tuple[str, int]  # (topic, partition) of a source partition


class SourceState(NamedTuple):
    """How far a source partition is applied: the `next` offset, and the `latest` received_at (None before the first).

    `floor` follows from `latest`: the first bucket that is still open to the partition.
    """

    next: int = 0
    latest: int | None = None
    floor: int | None = None


class Placed(NamedTuple):
    """A message and the bucket it falls in. `keys` are those under which it can be the duplicate of another."""

    bucket: int
    keys: tuple[bytes, ...]
    contribution: Contribution


class Step(NamedTuple):
    """What applying a batch means: source partitions that moved, messages placed, and all other outcomes counted.

    Outcomes: `dead_letter:<reason>`, `gap` and `gap_offsets`, `tick`, `tick_void`, `repeated`, `beyond`.
    `before`: what it was computed from, for every source partition that the batch mentions.
    """

    sources: dict[Source, SourceState]
    placed: list[Placed]
    outcomes: Counter[str]
    before: dict[Source, SourceState]


def advance(sources: Mapping[Source, SourceState], records: Iterable[AssessmentRecord], timing: Timing) -> Step:
    """Apply the rule above to `records`, in order. `sources` holds the state of every partition of the roster.

    Pure: the same log gives the same result however it is cut into batches. Raises StateConflict for a record from a
    partition that is not in the roster, since nothing of it could ever be closed correctly.
    """
    moved: dict[Source, SourceState] = {}
    placed: list[Placed] = []
    outcomes: Counter[str] = Counter()
    before: dict[Source, SourceState] = {}
    for record in records:
        source = (record.topic, record.partition)
        state = moved.get(source)
        if state is None:
            state = sources.get(source)
            if state is None:
                raise StateConflict(f"a record of {record.topic}[{record.partition}], which the monitor does not list")
            before[source] = state
        if isinstance(record, Tick):
            outcomes["tick" if record.at == state.next else "tick_void"] += 1
            if record.at == state.next:
                moved[source] = _seen(state, state.next, record.received_at, timing)
        elif record.offset < state.next:
            outcomes["repeated"] += 1
        elif record.lo > state.next:
            outcomes["beyond"] += 1
        elif isinstance(record, Assessment):
            state = _seen(state, record.offset + 1, record.received_at, timing)
            moved[source] = state
            placed.append(_place(record, state, timing))
        else:
            _count_stub(record, state.next, outcomes)
            moved[source] = state._replace(next=record.offset + 1)
    return Step(moved, placed, outcomes, before)


def holding(sources: Mapping[Source, SourceState]) -> tuple[int | None, list[Source]]:
    """The floor below which buckets may close (None: none may), and the partitions that hold it there.

    >>> holding({("a", 0): SourceState(1, 5, 5), ("a", 1): SourceState(1, 3, 3)}), holding({("a", 0): SourceState()})
    ((3, [('a', 1)]), (None, [('a', 0)]))
    """
    floors = {source: state.floor for source, state in sources.items()}
    known = [floor for floor in floors.values() if floor is not None]
    lowest = min(known) if known and len(known) == len(floors) else None
    return lowest, sorted(source for source, floor in floors.items() if floor == lowest)


def _seen(state: SourceState, following: int, received_at: int, timing: Timing) -> SourceState:
    if state.latest is not None and received_at <= state.latest:
        return SourceState(following, state.latest, state.floor)
    return SourceState(following, received_at, timing.floor(received_at))


def _place(record: Assessment, state: SourceState, timing: Timing) -> Placed:
    assert state.latest is not None
    bucket, late = timing.place(record.received_at, state.latest)
    return Placed(bucket, keys_of(record), contribution_of(record, late=late))


def _count_stub(record: DeadLetter | Gap, following: int, outcomes: Counter[str]) -> None:
    if isinstance(record, DeadLetter):
        outcomes[f"dead_letter:{record.reason}"] += 1
    else:
        outcomes["gap"] += 1
        outcomes["gap_offsets"] += record.offset + 1 - following
