"""The alerts topic is shared: what others put on it does no harm to a publisher."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from streams.worker.alerts_feed import AlertsFeed

pytestmark = pytest.mark.kafka


def test_records_that_are_no_alerts_are_passed_over(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("alerts"), 1)
    producer = Producer(kafka_log.config)
    deep = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for key, value in (
        (b"\xff\xfe", b"{}"),
        (None, b"\xff"),
        (b"\xff", None),
        (b"1", b'{"id":"\xff"}'),
        (b"1", deep),
    ):
        producer.produce(topic, value, key)
    producer.flush()
    feed = AlertsFeed(kafka_log.config, topic, "any")
    feed.open()
    try:
        deadline = time.monotonic() + 20
        found = []
        while not feed.caught_up and time.monotonic() < deadline:
            found += feed.poll(0.1)
        assert feed.caught_up
        assert not found
    finally:
        feed.close()
