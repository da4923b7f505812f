"""Groups are deleted also while their last member is still on its way out."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.settings import Settings
from streams.transport.groups import groups_named, remove_groups

pytestmark = pytest.mark.kafka


@pytest.fixture
def member(kafka: str, unique: Callable[[str], str]) -> tuple[Settings, str, Consumer]:
    """A consumer that is a member of a group of its own."""
    name = unique("group")
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 1)])[name].result(10)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": name})
    consumer.subscribe([name])
    while not consumer.assignment():
        consumer.poll(0.1)
    return Settings(bootstrap_servers=kafka), name, consumer


def test_a_group_whose_member_leaves_in_a_moment_is_deleted(member: tuple[Settings, str, Consumer]) -> None:
    settings, name, consumer = member
    leaving = threading.Timer(1.0, consumer.close)
    leaving.start()
    remove_groups(settings, [name], seconds=10)
    leaving.join()
    assert groups_named(settings, name) == []


def test_a_group_whose_member_stays_is_left_as_it_is(member: tuple[Settings, str, Consumer]) -> None:
    settings, name, consumer = member
    remove_groups(settings, [name], seconds=1)
    assert groups_named(settings, name) == [name]
    consumer.close()
