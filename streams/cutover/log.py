"""Writing records of forks and promotions."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.events import encode
from streams.routing import Record
from streams.settings import Settings
from streams.transport import Topic, ensure_topics
from streams.transport.failures import transport_error
from streams.transport.topics import FOR_EVER

__all__ = ["ensure_cutover_topic", "now", "produce", "user", "write"]

DELIVERY_SECONDS = 60.0

Outgoing = tuple[bytes | None, bytes, int]  # key, value, partition


def ensure_cutover_topic(settings: Settings) -> None:
    """Create it or check it. Raises TopicMissing, NotAuthorised, BrokerUnavailable."""
    ensure_topics(settings, [Topic(settings.cutover_topic, 1, FOR_EVER)])


def now() -> str:
    """The time, for people: nothing that decides reads it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def user() -> str:
    """Who runs this command; "unknown" where the system can't say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry
        return "unknown"


def write(settings: Settings, record: Record) -> None:
    """Append a record and wait for Kafka's answer. Raises TransportError."""
    produce(settings, settings.cutover_topic, [(None, encode(record), 0)])


def produce(settings: Settings, topic: str, records: Iterable[Outgoing]) -> int:
    """Append records in order and wait for all of Kafka's answers; how many. Raises TransportError."""
    failed: list[KafkaError] = []

    def answered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer(
        {
            **settings.kafka(),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
            "logger": logging.getLogger("librdkafka"),
        }
    )
    number = 0
    try:
        for key, value, partition in records:
            while not failed:
                try:
                    producer.produce(topic, value, key, partition, answered)
                except BufferError:
                    producer.poll(0.1)
                else:
                    number += 1
                    break
            if failed:
                break
            producer.poll(0)
        left = producer.flush(DELIVERY_SECONDS)
    except KafkaException as error:
        raise transport_error(error, f"delivery to {topic}") from None
    if failed or left:
        producer.purge()
        reason = failed[0] if failed else KafkaError(KafkaError._MSG_TIMED_OUT)  # noqa: SLF001 - librdkafka's own name
        raise transport_error(reason, f"delivery to {topic}")
    return number
