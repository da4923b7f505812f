"""The way of many messages onto a source topic: `vigilia load`, replays and the demo.

Everything that goes in is sent, whatever it holds: what is wrong with a message is for intake to say, where it becomes
a dead letter with coordinates. Records are stamped with now, never with the time of the report: retention counts from
the stamp. The key is the case id, so all versions of a case lie in one partition, in order.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer

from streams.errors import TopicMissing
from streams.events import AdverseEvent, ClinicalNote, SourceMessage, encode
from streams.settings import Settings
from streams.transport.failures import transport_error

__all__ = ["LoadSummary", "Outgoing", "load"]

CONNECT_SECONDS: Final = 15.0
LARGEST_MESSAGE: Final = 15_000_000  # above the broker's own limit, so that the broker is the one who refuses
_BETWEEN_POLLS: Final = 200
_log = logging.getLogger("librdkafka.loader")  # while Kafka is away it repeats itself; streams.logs thins that out


class Outgoing(NamedTuple):
    """A message with its topic and key chosen already."""

    topic: str
    key: bytes | None
    value: bytes | None


@dataclass
class LoadSummary:
    """What became of the messages: `sent` = `delivered` + all of `failed`, which counts by Kafka's error name."""

    sent: int = 0
    delivered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    seconds: float = 0.0
    topics: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """Whether the brokers acknowledged every message."""
        return self.delivered == self.sent and not self.failed


class _Keyed(msgspec.Struct):
    case_id: str | None = None


_key_of = msgspec.json.Decoder(_Keyed).decode


def load(
    messages: Iterable[bytes | SourceMessage | Outgoing],
    topic: str | None,
    settings: Settings,
    progress: Callable[[LoadSummary], None] | None = None,
) -> LoadSummary:
    """Send `messages` and wait until the brokers have acknowledged or refused each of them.

    `topic` is where messages go that don't name one (`Outgoing` does). It must exist. `progress` is called with the
    summary so far every few hundred messages and while the last ones are waited for.

    Raises TopicMissing, NotAuthorised or BrokerUnavailable before anything is sent. Failures after that are counted in
    the summary: look at `complete`.
    """
    producer = _producer(settings)
    summary = LoadSummary()
    known: set[str] = set()
    present = _topics(producer, settings)
    started = time.monotonic()

    def delivered(error: KafkaError | None, _message: Any) -> None:
        if error is None:
            summary.delivered += 1
        else:
            summary.failed[error.name()] += 1

    for message in messages:
        outgoing = _outgoing(message, topic)
        if outgoing.topic not in known:
            if outgoing.topic not in present:
                raise TopicMissing(f"there is no topic {outgoing.topic}; create it with the partitions of its monitor")
            known.add(outgoing.topic)
        _send(producer, outgoing, delivered, summary)
        if summary.sent % _BETWEEN_POLLS == 0:
            producer.poll(0)
            if progress:
                progress(summary)
    while producer.flush(0.2):
        if progress:
            progress(summary)
    summary.seconds = time.monotonic() - started
    if progress:
        progress(summary)
    return summary


def _send(producer: Any, outgoing: Outgoing, delivered: Callable[..., None], summary: LoadSummary) -> None:
    """Hand one message to librdkafka, waiting while its queue is full."""
    summary.sent += 1
    summary.topics[outgoing.topic] += 1
    summary.bytes += len(outgoing.value or b"")
    while True:
        try:
            producer.produce(outgoing.topic, outgoing.value, outgoing.key, on_delivery=delivered)
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:  # refused here and now: larger than any broker takes
            summary.failed[error.args[0].name()] += 1
            return
        else:
            return


def _outgoing(message: bytes | SourceMessage | Outgoing, topic: str | None) -> Outgoing:
    if isinstance(message, Outgoing):
        return message
    if topic is None:
        raise ValueError("a message without a topic, and no topic given")
    if isinstance(message, (AdverseEvent, ClinicalNote)):
        return Outgoing(topic, message.case_id.encode(), encode(message))
    return Outgoing(topic, _case_id(message), message)


def _case_id(value: bytes) -> bytes | None:
    """The key of a message that may hold anything."""
    try:
        case_id = _key_of(value).case_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if case_id is None else case_id.encode()


def _producer(settings: Settings) -> Any:
    return Producer(
        {
            **settings.kafka(),
            "enable.idempotence": True,
            "partitioner": "murmur2",  # that of Java clients; without a key always the same partition
            "linger.ms": 20,
            "compression.type": "lz4",
            "message.max.bytes": LARGEST_MESSAGE,
            "message.timeout.ms": 60_000,
        },
        logger=_log,
    )


def _topics(producer: Any, settings: Settings) -> set[str]:
    """Names of the topics that exist. Never asks for one by name: some brokers would create it."""
    try:
        return set(producer.list_topics(timeout=CONNECT_SECONDS).topics)
    except KafkaException as error:
        raise transport_error(error, f"asking {settings.bootstrap_servers} for its topics") from None
