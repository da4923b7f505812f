"""Consumer groups from outside: which there are, what we may do with them and with topics, and removing them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

import structlog
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from streams.errors import BrokerUnavailable, TransportError
from streams.settings import Settings
from streams.transport.failures import LOGGER, transport_error

__all__ = ["group_operations", "groups_named", "remove_groups", "topic_operations"]

log = structlog.get_logger(__name__)

SECONDS = 10.0


def _admin(settings: Settings) -> AdminClient:
    """A client. Whoever asks with it keeps it until the answer is there: one that is collected ends its requests."""
    return AdminClient({**settings.kafka(), "logger": LOGGER})


def groups_named(settings: Settings, prefix: str, seconds: float = SECONDS) -> list[str]:
    """Consumer groups whose name begins with `prefix`. Raises TransportError."""
    admin = _admin(settings)
    try:
        listed = admin.list_consumer_groups(request_timeout=seconds).result()
    except KafkaException as error:
        raise transport_error(error, "listing consumer groups") from None
    return sorted(group.group_id for group in listed.valid if group.group_id.startswith(prefix))


def remove_groups(settings: Settings, groups: Iterable[str], seconds: float = SECONDS) -> None:
    """Delete consumer groups; what is not there is passed over, what still has members after `seconds` too, with a
    log line."""
    wanted, deadline = set(groups), time.monotonic() + seconds
    try:
        # Only what the broker shows: the mock shows none, and a client that it refused a deletion aborts at its end.
        while left := sorted(wanted.intersection(groups_named(settings, "", seconds))):
            refused = _delete(settings, left, seconds)
            if not refused:
                return
            if time.monotonic() > deadline:
                log.info("not_removed", groups={name: str(failure) for name, failure in refused.items()})
                return
            time.sleep(0.2)  # a member that has just left is a member for a moment
    except TransportError as error:
        log.info("not_removed", error=str(error))


def _delete(settings: Settings, groups: list[str], seconds: float) -> dict[str, BaseException]:
    """Ask for each; what was refused, and why."""
    admin = _admin(settings)
    asked = admin.delete_consumer_groups(groups, request_timeout=seconds)
    answers = {name: _failure_of(future, seconds) for name, future in asked.items()}
    return {name: failure for name, failure in answers.items() if failure is not None}


def _failure_of(future: Future, seconds: float) -> BaseException | None:  # type: ignore[type-arg]
    """Why it failed; a broker that does not answer in time is a failure like another."""
    try:
        return future.exception(seconds)
    except TimeoutError as error:
        return error


def group_operations(
    settings: Settings, groups: Iterable[str], seconds: float = SECONDS
) -> Iterator[tuple[str, frozenset[AclOperation]]]:
    """What Kafka allows these credentials with each group; where it has no ACLs, everything. Raises TransportError."""
    admin, wanted = _admin(settings), list(groups)
    deadline = time.monotonic() + seconds
    while True:
        futures = admin.describe_consumer_groups(wanted, include_authorized_operations=True, request_timeout=seconds)
        try:
            yield from _operations(futures.items())
        except BrokerUnavailable:  # a broker that has just started has no coordinator for groups yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def topic_operations(
    settings: Settings, topics: Iterable[str], seconds: float = SECONDS
) -> Iterator[tuple[str, frozenset[AclOperation]]]:
    """What Kafka allows these credentials with each topic, all of which are there. Raises TransportError."""
    admin = _admin(settings)
    futures = admin.describe_topics(
        TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=seconds
    )
    yield from _operations(futures.items())


def _operations(futures: Iterable[tuple[str, Future]]) -> list[tuple[str, frozenset[AclOperation]]]:  # type: ignore[type-arg]
    try:
        return [(name, frozenset(future.result().authorized_operations or ())) for name, future in futures]
    except KafkaException as error:
        raise transport_error(error, "asking Kafka what is allowed") from None
