"""The sink on a real Kafka: a group is done when all of it is delivered, and failed when any of it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import (
    BrokerUnavailable,
    ConfigurationError,
    Fenced,
    NotAuthorised,
    TopicMissing,
    TransportError,
)
from streams.transport import Sink, transport_error
from tools.kafka import Broker

pytestmark = pytest.mark.kafka


def test_groups_are_delivered_in_the_order_they_were_handed_over(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("order"))

    async def run() -> None:
        sink = Sink(kafka_log.config)
        groups = [[(b"k", b"%d" % (100 * group + i)) for i in range(100)] for group in range(50)]
        sent = []
        for group in groups:
            await sink.room()
            sent.append(sink.send(topic, group, 0))
        await asyncio.gather(*sent)
        assert sink.outstanding == 0
        await sink.close()

    asyncio.run(run())
    assert [int(message.value()) for message in kafka_log.read(topic)] == list(range(5000))


def test_without_a_partition_the_key_decides(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("keys"), 4)

    async def run() -> None:
        sink = Sink(kafka_log.config)
        await asyncio.gather(*[sink.send(topic, [(b"%d" % (i % 7), b"x")]) for i in range(70)])
        await sink.close()

    asyncio.run(run())
    placed: dict[bytes, set[int]] = {}
    for partition in range(4):
        for message in kafka_log.read(topic, partition):
            placed.setdefault(message.key(), set()).add(partition)
    assert len(placed) == 7
    assert all(len(partitions) == 1 for partitions in placed.values())
    assert len(set().union(*placed.values())) > 1


def test_an_empty_group_is_done_at_once(kafka_log: Any) -> None:
    async def run() -> None:
        sink = Sink(kafka_log.config)
        assert sink.send("anything", []).done()
        await sink.close()

    asyncio.run(run())


def test_a_group_for_a_partition_that_does_not_exist_fails(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("narrow"))

    async def run() -> None:
        sink = Sink(kafka_log.config)
        await sink.send(topic, [(None, b"good")], 0)
        with pytest.raises(TopicMissing):
            await sink.send(topic, [(None, b"bad")], 5)
        await sink.send(topic, [(None, b"good")], 0)
        await sink.close()

    asyncio.run(run())
    assert len(kafka_log.read(topic)) == 2


def test_what_a_stopped_broker_does_not_take_fails_and_is_not_sent_later(
    kafka_log: Any, unique: Callable[[str], str]
) -> None:
    """A record that failed and then arrived would stand behind later ones."""
    with Broker() as broker:
        log = type(kafka_log)(broker.bootstrap_servers)
        topic = log.create(unique("stopped"))

        async def run() -> None:
            sink = Sink(log.config, delivery_seconds=2.0)
            await sink.send(topic, [(None, b"first")], 0)
            broker.stop()
            with pytest.raises(BrokerUnavailable):
                await sink.send(topic, [(None, b"lost")] * 10, 0)
            broker.start()  # on this thread: the kernel ends the broker with the thread that started it
            for _ in range(20):
                try:
                    await sink.send(topic, [(None, b"last")], 0)
                    break
                except BrokerUnavailable:
                    continue
            await sink.close()

        asyncio.run(run())
        found = [message.value() for message in log.read(topic)]
    assert b"lost" not in found
    assert found[0] == b"first"
    assert found[-1] == b"last"


def test_closing_fails_what_is_not_delivered(unique: Callable[[str], str]) -> None:
    async def run() -> None:
        sink = Sink({"bootstrap.servers": "127.0.0.1:1"})
        future = sink.send("nowhere", [(None, b"x")], 0)
        await sink.close(seconds=0.1)
        with pytest.raises(TransportError):
            await future

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "kind", "retriable"),
    [
        (KafkaError._AUTHENTICATION, NotAuthorised, False),
        (KafkaError._SSL, NotAuthorised, False),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAuthorised, False),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, NotAuthorised, False),
        (KafkaError._UNKNOWN_PARTITION, TopicMissing, False),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing, False),
        (KafkaError.ILLEGAL_GENERATION, Fenced, False),
        (KafkaError._ALL_BROKERS_DOWN, BrokerUnavailable, True),
        (KafkaError._MSG_TIMED_OUT, BrokerUnavailable, True),
        (KafkaError.NOT_LEADER_FOR_PARTITION, BrokerUnavailable, True),
        (KafkaError._INVALID_ARG, ConfigurationError, False),
        (KafkaError.UNKNOWN, TransportError, False),
    ],
)
def test_librdkafkas_errors_have_their_place_in_the_tree(code: int, kind: type[Exception], retriable: bool) -> None:
    for error in (KafkaError(code), KafkaException(KafkaError(code))):
        ours = transport_error(error, "trying")
        assert type(ours) is kind
        assert ours.retriable is retriable
        assert str(ours).startswith("trying: ")
