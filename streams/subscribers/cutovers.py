"""The records of forks and promotions, read to their end again and again by a plain consumer."""

from __future__ import annotations

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.errors import BrokerUnavailable, SchemaMismatch
from streams.routing import Forked, Record, Route, decode_cutover, route_of
from streams.settings import Settings
from streams.subscribers.reading import REQUEST_SECONDS, fetch, new_consumer
from streams.transport.failures import transport_error

__all__ = ["CutoverLog", "find_fork", "read_cutovers"]

POLLS = 60  # of half a second, without a record that is there


class CutoverLog:
    """What the cutover topic held at the last `refresh`. A topic that is not there holds nothing. For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.cutover_topic
        self._is_there = False
        self._records: list[tuple[int, Record]] = []
        self.version = 0  # the first offset that was not read
        self._consumer = new_consumer(settings, {"group.id": "vigilia-readers", "auto.offset.reset": "error"})

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()

    @property
    def records(self) -> list[Record]:
        """All of them, in order."""
        return [record for _, record in self._records]

    def route(self, stream: str, version: int | None = None) -> Route:
        """The route of a stream now, or when `version` was the first offset not read."""
        return route_of(stream, (r for offset, r in self._records if version is None or offset < version))

    def refresh(self) -> bool:
        """Read what was written until this call; whether there was anything. Raises TransportError, SchemaMismatch."""
        partition, before = TopicPartition(self._topic, 0), self.version
        try:
            if not self._is_there:
                error = self._consumer.list_topics(self._topic, REQUEST_SECONDS).topics[self._topic].error
                if error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return False
                if error is not None:
                    raise transport_error(error, f"topic {self._topic}")
                self._is_there = True
            _, end = self._consumer.get_watermark_offsets(partition, REQUEST_SECONDS)
        except KafkaException as error:
            raise transport_error(error, f"topic {self._topic}") from None
        if end > self.version:
            self._consumer.assign([TopicPartition(self._topic, 0, self.version)])
            try:
                self._read(end)
            finally:
                self._consumer.unassign()
        return self.version > before

    def _read(self, end: int) -> None:
        for _ in range(POLLS):
            for message in fetch(self._consumer, 500, 0.5):
                if message.error() is not None:
                    failure = transport_error(message.error(), f"topic {self._topic}")
                    if not failure.retriable:
                        raise failure
                    continue
                if message.offset() >= self.version:
                    self._records.append((message.offset(), self._decoded(message.offset(), message.value() or b"")))
                    self.version = message.offset() + 1
            if self.version >= end:
                return
        raise BrokerUnavailable(f"topic {self._topic} gave nothing for 30 s")

    def _decoded(self, offset: int, value: bytes) -> Record:
        try:
            record: Record = decode_cutover(value)
        except msgspec.DecodeError as error:
            what = f"{self._topic}/0/{offset} holds no fork or promotion ({type(error).__name__})"
            raise SchemaMismatch(what) from None
        return record


def read_cutovers(settings: Settings) -> list[Record]:
    """All records that are there now. Raises what CutoverLog raises."""
    log = CutoverLog(settings)
    try:
        log.refresh()
        return log.records
    finally:
        log.close()


def find_fork(settings: Settings, monitor: str) -> Forked | None:
    """The newest record of how `monitor` was forked; None if it was not. Raises what CutoverLog raises."""
    forks = [r for r in read_cutovers(settings) if isinstance(r, Forked) and r.monitor == monitor]
    return forks[-1] if forks else None
