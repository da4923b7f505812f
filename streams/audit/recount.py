"""A recount of the assessments log in plain Python: what it means by the rules of docs, written down a second time.

Shares nothing with `streams.detect` and `streams.state` but the types of the log, so that a mistake there does not
repeat itself here. Sets, sorting and dicts; nothing clever. The rules:

- A record covers the source offsets [lo, offset]; with `next` the first offset not yet covered it counts for something
  iff lo <= next <= offset. Below it repeats what was there, above it came before its turn and comes again.
- A tick acts as a received_at iff its `at` equals `next`.
- floor = floor((largest received_at so far - disorder) / width); a message is late iff floor(received_at / width) is
  below it, and then belongs to `floor`.
- A message counts iff no smaller (bucket, topic, partition, offset) at most `horizon` buckets back shares a key with
  it, whether that one counts or not. Keys: the case id within its topic; each fingerprint.
- A bucket's totals are sums over its counted cases: N by stratum, n by drug and stratum, m by event and stratum,
  S by drug, event and stratum. N and n in cases, m and S in millionths.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.events import Assessment, AssessmentRecord, DeadLetter, Gap, Tick
from streams.monitors import Monitor

__all__ = ["Case", "Cell", "Outcome", "Recount", "recount"]

DAY_MS = 86_400_000
MICRO = 1_000_000

Position = tuple[str, int, int]  # (topic, partition, offset)
Cell = tuple[str, ...] | tuple[str | int, ...]  # ("N", stratum), ("n", drug, stratum), ("m", ...), ("S", ...)


class Case(NamedTuple):
    """A message that was placed in a bucket. `of` is the message whose duplicate it is; None if it counts."""

    bucket: int
    position: Position
    late: bool
    record: Assessment
    of: Position | None = None


class Outcome(NamedTuple):
    """What became of the source message at a position: exactly one of these for each."""

    position: Position
    outcome: str  # counted | counted late | duplicate | dead letter | gap
    bucket: int | None = None
    of: Position | None = None
    reason: str | None = None
    first: int | None = None  # of a gap: its first offset


@dataclass
class Recount:
    """The log up to given offsets. `counters` are named as in Redis."""

    next: dict[int, int]
    sources: dict[tuple[str, int], tuple[int, int | None]] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    cases: list[Case] = field(default_factory=list)
    others: list[Outcome] = field(default_factory=list)

    def counted(self) -> Iterator[Case]:
        """The cases that count, in order of (bucket, position)."""
        return (case for case in self.cases if case.of is None)

    def outcomes(self) -> Iterator[Outcome]:
        """One for each source message, in order of position."""
        placed = (
            Outcome(case.position, "duplicate", case.bucket, case.of)
            if case.of is not None
            else Outcome(case.position, "counted late" if case.late else "counted", case.bucket)
            for case in self.cases
        )
        return iter(sorted([*placed, *self.others], key=lambda outcome: outcome.position))

    def totals(self) -> dict[int, Counter[Cell]]:
        """The cells of each bucket that holds a counted case."""
        buckets: defaultdict[int, Counter[Cell]] = defaultdict(Counter)
        for case in self.counted():
            buckets[case.bucket].update(_cells(case.record))
        return dict(buckets)


def recount(records: Iterable[tuple[int, int, AssessmentRecord]], monitor: Monitor) -> Recount:
    """Recount `records`: (assessments partition, offset there, record), in order of offset within a partition."""
    result = Recount({}, dict.fromkeys(monitor.roster, (0, None)))
    for partition, offset, record in records:
        result.next[partition] = offset + 1
        _follow(result, record, monitor)
    horizon = max(1, monitor.duplicate_horizon_days * DAY_MS // monitor.bucket_ms)
    result.cases = _without_duplicates(result.cases, horizon)
    for case in result.cases:
        result.counters["duplicate" if case.of is not None else "late" if case.late else "counted"] += 1
    return result


def _follow(result: Recount, record: AssessmentRecord, monitor: Monitor) -> None:
    source = (record.topic, record.partition)
    following, latest = result.sources.get(source, (0, None))
    if isinstance(record, Tick):
        valid = record.at == following
        result.counters["tick" if valid else "tick_void"] += 1
        if valid:
            result.sources[source] = (following, _later(latest, record.received_at))
        return
    if not record.lo <= following <= record.offset:
        result.counters["repeated" if record.offset < following else "beyond"] += 1
        return
    position = (record.topic, record.partition, record.offset)
    if isinstance(record, Assessment):
        latest = _later(latest, record.received_at)
        floor = (latest - monitor.disorder_ms) // monitor.bucket_ms
        bucket = record.received_at // monitor.bucket_ms
        result.cases.append(Case(max(bucket, floor), position, bucket < floor, record))
    elif isinstance(record, DeadLetter):
        result.counters[f"dead_letter:{record.reason}"] += 1
        result.others.append(Outcome(position, "dead letter", reason=record.reason))
    elif isinstance(record, Gap):
        result.counters["gap"] += 1
        result.counters["gap_offsets"] += record.offset + 1 - following
        result.others.append(Outcome(position, "gap", first=following))
    result.sources[source] = (record.offset + 1, latest)


def _later(latest: int | None, received_at: int) -> int:
    return received_at if latest is None else max(latest, received_at)


def _without_duplicates(cases: list[Case], horizon: int) -> list[Case]:
    """The same cases in order of (bucket, position), each with the message whose duplicate it is.

    Of several, the smallest among the nearest smaller ones under each key.
    """
    cases = sorted(cases, key=lambda case: (case.bucket, case.position))
    under: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, case in enumerate(cases):
        under["case", case.record.topic, case.record.case_id].append(number)
        for fingerprint in set(case.record.fingerprints):
            under["fingerprint", fingerprint].append(number)
    smaller: defaultdict[int, set[int]] = defaultdict(set)
    for numbers in under.values():
        for before, after in itertools.pairwise(numbers):
            if cases[after].bucket - cases[before].bucket <= horizon:
                smaller[after].add(before)
    return [
        case._replace(of=cases[min(smaller[number])].position) if number in smaller else case
        for number, case in enumerate(cases)
    ]


def pair_scores(record: Assessment) -> dict[tuple[str, str], int]:
    """The score of each (drug, event) of a case in millionths: the largest, where a pair is named more than once."""
    if record.pairs is None:
        scored = zip(record.events, record.scores, strict=True)
        found = {(drug, event): score for event, score in scored for drug in record.drugs}
    else:
        found = {}
        for pair in record.pairs:
            key = (record.drugs[pair.drug], record.events[pair.event])
            found[key] = max(pair.micro, found.get(key, 0))
    return {pair: score for pair, score in found.items() if score > 0}


def _cells(record: Assessment) -> Counter[Cell]:
    stratum = record.stratum
    cells: Counter[Cell] = Counter({("N", stratum): 1})
    cells.update({("n", drug, stratum): 1 for drug in record.drugs})
    cells.update({("m", event, stratum): s for event, s in zip(record.events, record.scores, strict=True) if s})
    cells.update({("S", *pair, stratum): score for pair, score in pair_scores(record).items()})
    return cells
