"""Topics on a real Kafka: created as required, checked at start, wrong ones named with what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streams.errors import BrokerUnavailable, TopicMissing
from streams.monitors import Monitor, Source
from streams.settings import Settings
from streams.transport import Topic, check_clock, control_topic, ensure_topics, extents, offsets_at, required_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def monitor(unique: Callable[[str], str]) -> Monitor:
    return Monitor(name=unique("topics"), sources=(Source(topic=unique("a"), partitions=2), Source(topic=unique("b"))))


@pytest.fixture
def settings(kafka: str, unique: Callable[[str], str]) -> Settings:
    return Settings(bootstrap_servers=kafka, alerts_topic=unique("alerts"))


def test_a_monitors_topics_are_created_once_and_then_fit(monitor: Monitor, settings: Settings) -> None:
    topics = required_topics(monitor, settings)
    assert sorted(ensure_topics(settings, topics)) == sorted(
        [*monitor.topics, monitor.assessments_topic, settings.alerts_topic, control_topic(monitor)]
    )
    assert ensure_topics(settings, topics) == []
    assert ensure_topics(settings.model_copy(update={"create_topics": False}), topics) == []
    ends = extents(settings.kafka(), [(monitor.assessments_topic, 1), (monitor.sources[0].topic, 1)])
    assert set(ends.values()) == {(0, 0)}


def test_missing_topics_are_all_named_with_the_command_that_makes_them(monitor: Monitor, settings: Settings) -> None:
    asking = settings.model_copy(update={"create_topics": False})
    with pytest.raises(TopicMissing) as failure:
        ensure_topics(asking, required_topics(monitor, asking))
    text = str(failure.value)
    for topic in (*monitor.topics, monitor.assessments_topic, settings.alerts_topic, control_topic(monitor)):
        assert f"topic {topic} is missing: kafka-topics.sh" in text
    assert f"--topic {monitor.assessments_topic} --partitions 2 --config retention.ms=-1" in text
    assert f"--topic {settings.alerts_topic} --partitions 1 --config cleanup.policy=compact" in text


@pytest.mark.parametrize(
    ("setting", "found", "required"),
    [("retention.ms", "604800000", "-1"), ("cleanup.policy", "compact", "delete"), ("retention.bytes", "1000", "-1")],
)
def test_assessments_that_would_be_forgotten_are_refused(
    kafka_log: Any, monitor: Monitor, settings: Settings, setting: str, found: str, required: str
) -> None:
    config = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete", setting: found}
    kafka_log.create(monitor.assessments_topic, 2, **config)
    with pytest.raises(TopicMissing) as failure:
        ensure_topics(settings, required_topics(monitor, settings))
    assert f"topic {monitor.assessments_topic}: {setting} is {found}, required is {required}" in str(failure.value)
    assert f"--add-config {setting}={required}" in str(failure.value)


def test_an_alerts_topic_that_is_not_compacted_is_refused(kafka_log: Any, monitor: Monitor, settings: Settings) -> None:
    kafka_log.create(settings.alerts_topic, 3)
    with pytest.raises(TopicMissing, match=r"cleanup\.policy is delete, required is compact"):
        ensure_topics(settings, required_topics(monitor, settings))


def test_an_alerts_topic_may_have_any_number_of_partitions(
    kafka_log: Any, monitor: Monitor, settings: Settings
) -> None:
    kafka_log.create(settings.alerts_topic, 3, cleanup_policy="compact")
    ensure_topics(settings, required_topics(monitor, settings))


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_source_with_another_number_of_partitions_than_the_roster_is_refused(
    kafka_log: Any, monitor: Monitor, settings: Settings, partitions: int
) -> None:
    topic = kafka_log.create(monitor.sources[0].topic, partitions)
    with pytest.raises(TopicMissing, match=f"topic {topic} has {partitions} partitions, required are 2"):
        ensure_topics(settings, required_topics(monitor, settings))


def test_a_broker_that_is_not_there_is_unavailable() -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        ensure_topics(settings, [Topic("x", 1)], seconds=1.0)


def test_topics_whose_producers_may_stamp_any_time_are_told_of(
    kafka_log: Any, settings: Settings, unique: Callable[[str], str]
) -> None:
    free = kafka_log.create(unique("free"), message_timestamp_after_max_ms="9223372036854775807")
    limited = kafka_log.create(unique("limited"), message_timestamp_after_max_ms="3600000")
    stamped = kafka_log.create(
        unique("stamped"), message_timestamp_after_max_ms="9223372036854775807", message_timestamp_type="LogAppendTime"
    )
    (advice,) = check_clock(settings, [free, limited, stamped])
    assert advice.startswith(f"topic {free}: ")
    assert "message.timestamp.after.max.ms to 86400000" in advice


def test_extents_and_offsets_at_a_time(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("times"), 2)
    for hour in range(5):
        kafka_log.write(topic, [b"x"], 0, timestamp=1_000_000_000_000 + hour * 3_600_000)
    kafka_log.delete_before(topic, 0, 1)
    assert extents(kafka_log.config, [(topic, 0), (topic, 1)]) == {(topic, 0): (1, 5), (topic, 1): (0, 0)}
    at = 1_000_000_000_000 + 2 * 3_600_000
    assert offsets_at(kafka_log.config, [(topic, 0), (topic, 1)], at) == {(topic, 0): 2, (topic, 1): None}
    with pytest.raises(TopicMissing):
        extents(kafka_log.config, [(unique("none"), 0)], seconds=5)
