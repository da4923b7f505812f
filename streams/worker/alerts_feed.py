"""The alerts topic as a publisher sees it: every record from the beginning and without end, by a plain consumer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.events import decode_alert
from streams.transport.failures import PARTITION_END, transport_error

__all__ = ["AlertsFeed"]

log = structlog.get_logger(__name__)

REQUEST_SECONDS = 10.0


class AlertsFeed:
    """Records of one monitor on the alerts topic. All calls from one thread."""

    def __init__(self, config: Mapping[str, str], topic: str, monitor: str) -> None:
        self._config: dict[str, Any] = {
            **config,
            "group.id": "vigilia-publishers",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
        self._topic, self._monitor = topic, monitor
        self._behind: set[int] = set()
        self._ours: set[str] = set()

    def open(self) -> None:
        """Start at the beginning of the topic. Raises TransportError."""
        self._consumer = Consumer(self._config)
        try:
            partitions = self._consumer.list_topics(self._topic, REQUEST_SECONDS).topics[self._topic].partitions
        except KafkaException as error:
            self._consumer.close()  # `open` is tried again
            raise transport_error(error, f"reading {self._topic}") from None
        self._behind = set(partitions)
        self._consumer.assign([TopicPartition(self._topic, number, 0) for number in partitions])

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()

    @property
    def caught_up(self) -> bool:
        """Whether every partition was read to its end at least once."""
        return not self._behind

    def poll(self, seconds: float = 0.0) -> Iterator[tuple[str, bytes | None]]:
        """(alert id, record) of this monitor's records that have come; None for a tombstone. Raises TransportError."""
        for message in self._consumer.consume(1000, seconds):
            error: KafkaError | None = message.error()
            if error is not None:
                if error.code() == PARTITION_END:
                    self._behind.discard(message.partition())
                elif not (failure := transport_error(error, f"reading {self._topic}")).retriable:
                    raise failure
                continue
            key, value = (message.key() or b"").decode("utf-8", "replace"), message.value()
            if value is None:
                if key in self._ours:
                    yield key, None
            elif self._is_ours(message):
                self._ours.add(key)
                yield key, value

    def _is_ours(self, message: Message) -> bool:
        """Whether the record is an alert of this monitor. What is no alert at all is somebody else's mistake."""
        try:
            alert = decode_alert(message.value())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.warning("no_alert", topic=self._topic, partition=message.partition(), offset=message.offset())
            return False
        is_copy = message.key() != alert.id.encode()  # that a promotion made of what it must not lose
        return alert.monitor == self._monitor and not is_copy
