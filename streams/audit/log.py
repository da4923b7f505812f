"""The assessments log of a monitor, read whole by a plain consumer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

import msgspec

from streams.errors import SchemaMismatch
from streams.events import AssessmentRecord, decode_record
from streams.monitors import Monitor
from streams.settings import Settings
from streams.subscribers.reading import TopicReader

__all__ = ["AssessmentLog"]


class AssessmentLog:
    """The records of `<monitor>.assessments` up to the end it had when it was opened. A context manager.

    Raises what `TopicReader` raises, and SchemaMismatch naming the coordinates of a record that is none.
    """

    def __init__(self, settings: Settings, monitor: Monitor) -> None:
        self.topic = monitor.assessments_topic
        self._reader = TopicReader(settings, self.topic)

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()

    @property
    def starts(self) -> Mapping[int, int]:
        """The first offset that is there of each partition; above 0 the log is not whole."""
        return self._reader.starts

    @property
    def ends(self) -> Mapping[int, int]:
        """The end of each partition."""
        return self._reader.ends

    def __len__(self) -> int:
        """How many records there are at most."""
        return sum(self.ends[p] - self.starts[p] for p in self.ends)

    def records(self, until: Mapping[int, int] | None = None) -> Iterator[tuple[int, int, AssessmentRecord]]:
        """(partition, offset, record), in order within a partition; below `until[partition]` if that is given."""
        for message in self._reader.messages():
            partition, offset = message.partition(), message.offset()
            if until is not None and offset >= until.get(partition, 0):
                continue
            try:
                record = decode_record(message.value() or b"")
            except msgspec.DecodeError as error:
                where = f"{self.topic}/{partition}/{offset}"
                raise SchemaMismatch(f"{where} holds no assessment record ({type(error).__name__})") from None
            yield partition, offset, record
