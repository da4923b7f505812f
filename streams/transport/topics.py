"""Topics: what a monitor needs, created where missing and checked at start.

A wrong topic is not mended: an operator's topic may hold data. The error says what was found, what is required and
the command that puts it right.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from streams.errors import TopicMissing
from streams.monitors import Monitor
from streams.settings import Settings
from streams.transport.failures import LOGGER, transport_error

__all__ = ["Topic", "check_clock", "control_topic", "ensure_topics", "remove_topics", "required_topics"]

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
SECONDS = 15.0
FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
COMPACTED = {"cleanup.policy": "compact"}
# A loader stamps records with the time of loading; what comes from outside may not be stamped with next year.
SOURCE = {"message.timestamp.after.max.ms": str(DAY_MS)}


class Topic(NamedTuple):
    """A topic as it has to be.

    `required` settings are checked, `created` ones only used when it is created; so is the number of partitions unless
    `exact`.
    """

    name: str
    partitions: int
    required: Mapping[str, str] = {}
    created: Mapping[str, str] = {}
    exact: bool = True


def control_topic(monitor: Monitor) -> str:
    """The topic that the worker's Faust agent listens to."""
    return f"{monitor.name}.control"


def required_topics(monitor: Monitor, settings: Settings) -> list[Topic]:
    """Every topic of a monitor: its sources, its assessments, the alerts and the control topic."""
    return [
        *(Topic(monitor.on_broker(source.topic), source.partitions, {}, SOURCE) for source in monitor.sources),
        Topic(monitor.assessments_topic, monitor.assessments_partitions, FOR_EVER),
        Topic(settings.alerts_topic, 1, COMPACTED, exact=False),
        Topic(control_topic(monitor), 1, {}, {"retention.ms": str(DAY_MS)}, exact=False),
    ]


def ensure_topics(settings: Settings, topics: Iterable[Topic], seconds: float = SECONDS) -> list[str]:
    """Create what is missing if `settings.create_topics`, then check everything. Blocks. Returns the names created.

    Raises TopicMissing (with every topic that is wrong and what to do), NotAuthorised, BrokerUnavailable.
    """
    wanted = list(topics)
    admin = AdminClient({**settings.kafka(), "logger": LOGGER})
    try:
        found = _partitions(admin, seconds)
        missing = [topic for topic in wanted if topic.name not in found]
        if missing and settings.create_topics:
            _create(admin, missing, settings.replication_factor, seconds)
            found.update((topic.name, topic.partitions) for topic in missing)
            log.info("topics_created", topics=[topic.name for topic in missing])
            missing, created = [], [topic.name for topic in missing]
        else:
            created = []
        wrong = [_how_to_create(topic, settings) for topic in missing]
        present = [topic for topic in wanted if topic.name in found]
        wrong += [
            _wrong_count(topic, found[topic.name])
            for topic in present
            if topic.exact and found[topic.name] != topic.partitions
        ]
        wrong += _wrong_settings(admin, present, settings, seconds)
    except KafkaException as error:
        raise transport_error(error, f"asking {settings.bootstrap_servers} for its topics") from None
    if wrong:
        raise TopicMissing("; ".join(wrong))
    return created


def remove_topics(settings: Settings, names: Iterable[str], seconds: float = SECONDS) -> None:
    """Delete topics; what is not there is passed over with a log line."""
    admin = AdminClient({**settings.kafka(), "logger": LOGGER})
    for name, future in admin.delete_topics(list(names), operation_timeout=seconds).items():
        error = future.exception(2 * seconds)
        if error is not None:
            log.info("not_removed", name=name, error=str(error))


def _partitions(admin: AdminClient, seconds: float) -> dict[str, int]:
    return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=seconds).topics.items()}


def _create(admin: AdminClient, topics: list[Topic], replication: int, seconds: float) -> None:
    new = [
        NewTopic(topic.name, topic.partitions, replication, config={**topic.created, **topic.required})
        for topic in topics
    ]
    for name, future in admin.create_topics(new, operation_timeout=seconds, request_timeout=seconds).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":  # another worker that starts now
                raise transport_error(error, f"creating topic {name}") from None


def _wrong_settings(admin: AdminClient, topics: list[Topic], settings: Settings, seconds: float) -> list[str]:
    checked = [topic for topic in topics if topic.required]
    values = _settings_of(admin, [topic.name for topic in checked], seconds)
    return [
        f"topic {topic.name}: {name} is {values[topic.name].get(name)}, required is {value}: kafka-configs.sh "
        f"--bootstrap-server {settings.bootstrap_servers} --alter --entity-type topics --entity-name {topic.name} "
        f"--add-config {name}={value}"
        for topic in checked
        for name, value in topic.required.items()
        if values[topic.name].get(name) != value
    ]


def _settings_of(admin: AdminClient, names: list[str], seconds: float) -> dict[str, dict[str, str | None]]:
    """Settings of topics that exist. A broker may not know one that was created a moment ago: it is asked again."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    deadline = time.monotonic() + seconds
    while True:
        futures = admin.describe_configs(resources, request_timeout=seconds)
        try:
            return {
                resource.name: {name: entry.value for name, entry in future.result().items()}
                for resource, future in futures.items()
            }
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _how_to_create(topic: Topic, settings: Settings) -> str:
    configs = "".join(f" --config {name}={value}" for name, value in {**topic.created, **topic.required}.items())
    return (
        f"topic {topic.name} is missing: kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} "
        f"--create --topic {topic.name} --partitions {topic.partitions}{configs}, "
        "or let vigilia do it (VIGILIA_CREATE_TOPICS=true)"
    )


def _wrong_count(topic: Topic, found: int) -> str:
    return (
        f"topic {topic.name} has {found} partitions, required are {topic.partitions}: they are fixed for the life of a "
        "monitor's name, so write the number found into the monitor file and give the monitor a new name"
    )


def check_clock(settings: Settings, topics: Iterable[str], seconds: float = SECONDS) -> list[str]:
    """Topics whose producers may stamp records with any time, each with what to do. Empty if the broker's clock rules.

    A report from the future is refused by comparing it with its record's timestamp; that holds only if the timestamp
    is the broker's own (LogAppendTime) or limited by it (message.timestamp.after.max.ms <= 24 h).
    """
    admin = AdminClient({**settings.kafka(), "logger": LOGGER})
    try:
        found = _settings_of(admin, list(topics), seconds)
    except KafkaException as error:
        raise transport_error(error, "reading topic settings") from None
    advice = []
    for name, values in found.items():
        ahead = int(values.get("message.timestamp.after.max.ms") or DAY_MS)
        if values.get("message.timestamp.type") != "LogAppendTime" and ahead > DAY_MS:
            advice.append(
                f"topic {name}: a producer may stamp records {ahead} ms ahead of the broker's clock; set "
                f"message.timestamp.after.max.ms to {DAY_MS} or less, or message.timestamp.type to LogAppendTime"
            )
    return advice
