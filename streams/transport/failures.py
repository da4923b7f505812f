"""librdkafka's errors in our own tree: one table."""

# ruff: noqa: SLF001 - the names of librdkafka's own codes begin with an underscore
from __future__ import annotations

import logging

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.errors import BrokerUnavailable, ConfigurationError, Fenced, NotAuthorised, TopicMissing, TransportError

__all__ = [
    "FATAL",
    "LOGGER",
    "OUT_OF_RANGE",
    "PARTITION_END",
    "describe",
    "log_commit",
    "log_error",
    "raise_unless_passing",
    "transport_error",
]

log = structlog.get_logger(__name__)

PARTITION_END = KafkaError._PARTITION_EOF
OUT_OF_RANGE = KafkaError._AUTO_OFFSET_RESET
FATAL = KafkaError._FATAL
LOGGER = logging.getLogger("librdkafka")  # for the property `logger`: else librdkafka writes to stderr by itself

_TABLE: dict[type[TransportError], tuple[int, ...]] = {
    NotAuthorised: (
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.SECURITY_DISABLED,
    ),
    TopicMissing: (
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
    ),
    Fenced: (
        KafkaError._FENCED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
    ),
    BrokerUnavailable: (
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REBALANCE_IN_PROGRESS,
    ),
}
_BY_CODE = {code: kind for kind, codes in _TABLE.items() for code in codes}
_INVALID = {KafkaError._INVALID_ARG, KafkaError.INVALID_CONFIG}


def describe(error: KafkaError) -> str:
    """The error's name and librdkafka's sentence, which never holds message content."""
    return f"{error.name()}: {error.str()}"


def transport_error(error: KafkaError | KafkaException, about: str = "") -> TransportError | ConfigurationError:
    """Our error for one of librdkafka's; `about` says what was tried. An unknown code is a plain TransportError.

    Codes that librdkafka itself calls retriable are BrokerUnavailable unless the table says otherwise.
    """
    found = error.args[0] if isinstance(error, KafkaException) else error
    prefix = f"{about}: " if about else ""
    if not isinstance(found, KafkaError):
        return TransportError(f"{prefix}{found}")
    text = prefix + describe(found)
    if found.code() in _INVALID:
        return ConfigurationError(text)
    kind = _BY_CODE.get(found.code())
    if kind is None:
        kind = BrokerUnavailable if found.retriable() else TransportError
    return kind(text)


def raise_unless_passing(error: KafkaError, source: tuple[str, int]) -> None:
    """Raise what a consumer was told of a partition, unless librdkafka mends it by itself; then it is logged."""
    failure = transport_error(error, f"{source[0]}/{source[1]}")
    if not isinstance(failure, (BrokerUnavailable, Fenced)):
        raise failure
    log.warning("consumer_error", topic=source[0], partition=source[1], error=describe(error))


def log_error(error: KafkaError) -> None:
    """For a consumer's `error_cb`."""
    log.warning("consumer_error", error=describe(error))


def log_commit(error: KafkaError | None, partitions: list[TopicPartition]) -> None:
    """For a consumer's `on_commit`: what was refused."""
    refused = error or next((p.error for p in partitions if p.error is not None), None)
    if refused is not None:
        log.info("commit_refused", error=describe(refused))
