"""A topic read once, from its beginning to the end it has now, by a plain consumer without a group."""

# ruff: noqa: SLF001 - the names of librdkafka's own error codes begin with an underscore

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.errors import BrokerUnavailable, NotAuthorised, VigiliaError
from streams.settings import Settings
from streams.transport.failures import transport_error

__all__ = ["PARTITION_EOF", "REBALANCED", "REQUEST_SECONDS", "TopicReader", "fetch", "new_consumer", "probe"]

REQUEST_SECONDS = 10.0
STALLED_SECONDS = 30.0
PARTITION_EOF = KafkaError._PARTITION_EOF
REBALANCED = {  # a commit that fails so: the partition's next owner repeats what was not committed
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._STATE,
    KafkaError._NO_OFFSET,
}


def new_consumer(settings: Settings, properties: Mapping[str, object]) -> Consumer:
    """A consumer that commits only when told to, and logs where we log. Raises ConfigurationError."""
    try:
        return Consumer(
            {**settings.kafka(), "enable.auto.commit": False, "enable.auto.offset.store": False, **properties},
            logger=logging.getLogger("librdkafka"),
        )
    except KafkaException as error:
        raise transport_error(error, "settings for Kafka") from None


def fetch(consumer: Consumer, most: int, seconds: float) -> list[Message]:
    """Up to `most` messages, as soon as there is one: `consume` alone would wait `seconds` for the last of them."""
    first = consumer.poll(seconds)
    return [] if first is None else [first, *consumer.consume(most - 1, 0)]


def probe(settings: Settings, seconds: float = REQUEST_SECONDS) -> dict[str, int]:
    """The topics that Kafka shows us, with their number of partitions. Raises BrokerUnavailable, NotAuthorised."""
    refusals: list[KafkaError] = []
    consumer = new_consumer(settings, {"group.id": "vigilia-readers", "error_cb": refusals.append})
    where = f"Kafka at {settings.bootstrap_servers}"
    try:
        found = consumer.list_topics(timeout=seconds).topics
    except KafkaException as error:
        consumer.poll(0)
        failures = [failure for refusal in refusals if not (failure := transport_error(refusal, where)).retriable]
        raise failures[0] if failures else transport_error(error, where) from None
    finally:
        consumer.close()
    return {name: len(topic.partitions) for name, topic in sorted(found.items())}


class TopicReader:
    """Messages of one topic up to the end offsets taken when it was opened. A context manager.

    `ends` are these offsets, `starts` the first ones that are still there. Raises TopicMissing, NotAuthorised,
    BrokerUnavailable; a broker that stalls for 30 s while reading is BrokerUnavailable too.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic = topic
        self.starts: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self._refusal: VigiliaError | None = None
        self._where = f"Kafka at {settings.bootstrap_servers}"
        self._consumer = new_consumer(
            settings,
            {
                "group.id": "vigilia-readers",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "error_cb": self._on_error,
            },
        )

    def __enter__(self) -> TopicReader:
        try:
            self.renew()
        except VigiliaError:
            self._consumer.close()
            raise
        return self

    def renew(self) -> None:
        """Take the first and end offsets anew: the next `messages` go up to these."""
        try:
            metadata = self._consumer.list_topics(self.topic, timeout=REQUEST_SECONDS).topics[self.topic]
            if metadata.error is not None:
                raise transport_error(metadata.error, f"topic {self.topic}")
            for number in sorted(metadata.partitions):
                partition = TopicPartition(self.topic, number)
                low, high = self._consumer.get_watermark_offsets(partition, timeout=REQUEST_SECONDS)
                self.starts[number], self.ends[number] = low, high
        except KafkaException as error:
            self._consumer.poll(0)  # serves error_cb, which knows whether credentials were refused
            raise self._refusal or transport_error(error, self._where) from None

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def _on_error(self, error: KafkaError) -> None:
        found = transport_error(error, self._where)
        if isinstance(found, NotAuthorised):
            self._refusal = found

    def _refuse(self, error: KafkaError) -> None:
        """Raise, unless the broker may come back."""
        failure = transport_error(error, f"topic {self.topic}")
        if not failure.retriable:
            raise failure

    def messages(self, start: Mapping[int, int] | None = None, batch: int = 1000) -> Iterator[Message]:
        """Every message of every partition up to its end, in order of offset within a partition.

        `start` gives the first offset wanted of a partition; without it all that is there.
        """
        first = {p: max(self.starts[p], (start or {}).get(p, 0)) for p in self.ends}
        open_partitions = {p for p, offset in first.items() if offset < self.ends[p]}
        self._consumer.assign([TopicPartition(self.topic, p, first[p]) for p in sorted(open_partitions)])
        silent = 0.0
        while open_partitions:
            got = fetch(self._consumer, batch, 0.5)
            silent = 0.0 if got else silent + 0.5
            if self._refusal is not None or silent >= STALLED_SECONDS:
                raise self._refusal or BrokerUnavailable(f"{self._where} gave nothing of {self.topic} for 30 s")
            for message in got:
                error = message.error()
                if error is None:
                    if message.partition() in open_partitions and message.offset() < self.ends[message.partition()]:
                        yield message
                    if message.offset() + 1 >= self.ends[message.partition()]:
                        open_partitions.discard(message.partition())
                elif error.code() == PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    self._refuse(error)
        self._consumer.unassign()

    def message_at(self, partition: int, offset: int) -> Message | None:
        """The message at these coordinates, or None if it is not there (any more)."""
        if not self.starts.get(partition, 0) <= offset < self.ends.get(partition, 0):
            return None
        self._consumer.assign([TopicPartition(self.topic, partition, offset)])
        try:
            for _ in range(int(STALLED_SECONDS / 0.5)):
                for message in fetch(self._consumer, 2, 0.5):
                    error = message.error()
                    if error is None:
                        return message if message.offset() == offset else None
                    if error.code() == PARTITION_EOF:
                        return None
                    self._refuse(error)
        finally:
            self._consumer.unassign()
        raise BrokerUnavailable(f"{self._where} gave nothing of {self.topic} for 30 s")
