"""What may fall between two messages of one `consume()`: a seek, an assignment. Each at its moment, on a real Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Message

from streams.transport.batch import Batch
from streams.transport.member import Member

pytestmark = pytest.mark.kafka


class Interrupted:
    """A consumer that does something of the test's while a turn is inside `consume`."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.meanwhile: Callable[[list[Message]], list[Message]] = lambda messages: messages

    def consume(self, most: int, seconds: float) -> list[Message]:
        return self.meanwhile(self._consumer.consume(most, seconds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def member_on(log: Any, topic: str, group: str) -> tuple[Member, Interrupted]:
    config = {
        **log.config,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "partition.assignment.strategy": "cooperative-sticky",
    }
    loop = asyncio.new_event_loop()
    loop.close()  # no owner is asked
    member = Member(config, [topic], loop, None, None)
    member._consumer = interrupted = Interrupted(member._consumer)
    return member, interrupted


def turns_until(member: Member, wanted: Callable[[list[Batch]], bool]) -> list[Batch]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        batches = member.turn(100, 0.01, throttled=False)
        if wanted(batches):
            return batches
    raise AssertionError("no such batch")


def has_messages(batches: list[Batch]) -> bool:
    return any(batch.messages for batch in batches)


def test_a_seek_during_a_turn_voids_what_the_turn_brings(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("turn"))
    kafka_log.write(topic, [b"x"] * 1000)
    member, consumer = member_on(kafka_log, topic, unique("g"))
    (before,) = turns_until(member, has_messages)
    sought = []

    def seek_once(messages: list[Message]) -> list[Message]:
        if messages and not sought:
            sought.append(len(messages))
            assert member.seek((topic, 0), 7)
        return messages

    consumer.meanwhile = seek_once
    while not sought:
        assert not has_messages(member.turn(100, 0.01, throttled=False)) or not sought
    assert not member.current(before)
    (after,) = turns_until(member, has_messages)
    assert (after.position, after.messages[0].offset()) == (7, 7)
    assert member.current(after)
    member.close()


def test_what_comes_in_the_turn_of_the_assignment_is_read_again_from_the_start(
    kafka_log: Any, unique: Callable[[str], str]
) -> None:
    """Such a turn may mix messages of an earlier assignment with those of the new one."""
    topic = kafka_log.create(unique("fresh"))
    kafka_log.write(topic, [b"x"] * 50)
    member, consumer = member_on(kafka_log, topic, unique("g"))
    together = []

    def in_one_turn(messages: list[Message]) -> list[Message]:
        while not together:
            messages = messages + consumer._consumer.consume(10, 0.2)
            if any(message.error() is None for message in messages):
                assert member.assigned == {(topic, 0)}
                together.append(len(messages))
        return messages

    consumer.meanwhile = in_one_turn
    assert member.turn(100, 0.01, throttled=False) == []
    assert together
    (batch,) = turns_until(member, has_messages)
    assert (batch.position, [message.offset() for message in batch.messages]) == (0, list(range(50)))
    member.close()
