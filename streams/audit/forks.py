"""The audit of a fork: below its cuts the old monitor's records as they were, above them its own; each offset once."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from streams.audit.chain import Chain, Source
from streams.errors import SchemaMismatch, TopicMissing
from streams.events import Assessment, AssessmentRecord, DeadLetter, Gap, Tick, decode_record
from streams.monitors import Monitor
from streams.routing import Forked
from streams.settings import Settings
from streams.subscribers.reading import TopicReader

__all__ = ["ForkReport", "check_fork"]


class ForkReport(Struct):
    """What a fork's log holds: `below` and `above` the cuts, assessments by model.

    `compared`: source partitions whose records below the cut were compared with the old monitor's log; 0 if it is gone.
    `faults`: what is not as a fork must be.
    """

    of: str
    bucket: int
    done: bool
    cuts: dict[str, int]
    below: dict[str, int]
    above: dict[str, int]
    compared: int = 0
    faults: list[str] = []


class _Sides:
    """What a log holds below and above the cuts; of each source partition a hash of the records below."""

    def __init__(self, cuts: Mapping[Source, int]) -> None:
        self.cuts = cuts
        self.chain = Chain()
        self.below: Counter[str] = Counter()
        self.above: Counter[str] = Counter()
        self.faults: list[str] = []
        self._hashes: defaultdict[Source, hashlib._Hash] = defaultdict(hashlib.sha256)

    def add(self, value: bytes, record: AssessmentRecord, forked: Forked, monitor: Monitor) -> None:
        source = (record.topic, record.partition)
        cut = self.cuts.get(source, 0)
        first = self.chain.take(record)
        if first is None:
            return
        if isinstance(record, Tick):
            if first < cut and record.received_at < forked.bucket * forked.bucket_ms:
                self._hashes[source].update(value)
            return
        side = self.below if first < cut else self.above
        if isinstance(record, Assessment):
            side[record.model or "no model"] += 1
            self._check(record, first < cut, forked, monitor)
        if first < cut:
            self._hashes[source].update(value)
            if record.offset >= cut:
                self.faults.append(f"{_place(record)}: covers the cut at {cut}")

    def _check(self, record: Assessment, is_below: bool, forked: Forked, monitor: Monitor) -> None:
        if is_below and record.received_at >= forked.bucket * forked.bucket_ms:
            self.faults.append(f"{_place(record)}: taken over, but received in bucket {forked.bucket} or later")
        expected = monitor.model
        if not is_below and expected and record.model is not None and not record.model.startswith(expected):
            self.faults.append(f"{_place(record)}: assessed by {record.model}, the monitor names {expected}")

    def digest(self, source: Source) -> str:
        return self._hashes[source].hexdigest()


def check_fork(settings: Settings, monitor: Monitor, forked: Forked) -> ForkReport:
    """Read both logs and look. Raises what TopicReader raises for the new one, and SchemaMismatch."""
    cuts = {(cut.topic, cut.partition): cut.offset for cut in forked.cuts}
    ours = _Sides(cuts)
    for value, record in _records(settings, monitor.assessments_topic, None):
        ours.add(value, record, forked, monitor)
    report = ForkReport(
        forked.of,
        forked.bucket,
        forked.done,
        {f"{topic}/{partition}": offset for (topic, partition), offset in sorted(cuts.items())},
        dict(sorted(ours.below.items())),
        dict(sorted(ours.above.items())),
        faults=ours.faults,
    )
    if not forked.done:
        report.faults.append("the fork was broken off: run `vigilia monitor fork` again")
    theirs = _Sides(cuts)
    try:
        for value, record in _records(settings, f"{forked.of}.assessments", forked.ends):
            theirs.add(value, record, forked, monitor)
    except TopicMissing:  # the old monitor was taken down: nothing to compare with
        return report
    for source, cut in sorted(cuts.items()):
        report.compared += 1
        place = f"{source[0]}/{source[1]}"
        if ours.chain.next[source] < cut:
            report.faults.append(f"{place}: covered up to {ours.chain.next[source]}, the cut is at {cut}")
        elif ours.digest(source) != theirs.digest(source):
            report.faults.append(f"{place}: the records below {cut} are not those of {forked.of}")
    return report


def _records(settings: Settings, topic: str, ends: Sequence[int] | None) -> Iterator[tuple[bytes, AssessmentRecord]]:
    with TopicReader(settings, topic) as log:
        for message in log.messages():
            if ends is not None and message.offset() >= ends[message.partition()]:
                continue
            try:
                yield message.value(), decode_record(message.value() or b"")
            except msgspec.DecodeError as error:
                where = f"{topic}/{message.partition()}/{message.offset()}"
                raise SchemaMismatch(f"{where} holds no assessment record ({type(error).__name__})") from None


def _place(record: Assessment | DeadLetter | Gap) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
