"""The topic `reviews`: read as it grows, joined to alerts, and written to.

A write is a compare-and-set on a log. The new entry names the last one that was read; the writer then reads on to its
own entry and sees whether it came first. If not, it looks at what came before it and writes again. Somebody wins each
round, so this ends, and nobody is told that an entry stands before it does.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.errors import BrokerUnavailable, ConfigurationError, TopicMissing
from streams.events import Alert, encode
from streams.reviews.entry import DECISIONS, Action, ReviewEntry, name_of
from streams.reviews.history import History, Review, Reviewed
from streams.settings import Settings
from streams.subscribers.reading import TopicReader
from streams.transport.failures import LOGGER, transport_error
from streams.transport.topics import COMPACTED, Topic, ensure_topics

__all__ = ["Reviews"]

DELIVERY_SECONDS = 30
ATTEMPTS = 100  # lost races in a row before something else must be wrong


class Reviews:
    """What people have said of alerts. A context manager; not for several threads at once.

    ```python
    with Reviews(load_settings()) as reviews:
        print(reviews.of(alert).status)
    ```

    A topic that is not there holds no reviews. Raises BrokerUnavailable and NotAuthorised; TopicMissing if the topic
    has more than one partition, for its order is the history.
    """

    def __init__(self, settings: Settings) -> None:
        self.history = History()
        self._settings = settings
        self._topic = settings.reviews_topic
        self._reader: TopicReader | None = None
        self._next = 0

    def __enter__(self) -> Self:
        self.refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.__exit__()
            self._reader = None

    def of(self, alert: Alert) -> Review:
        """What was said of `alert` up to the last `refresh`."""
        return self.history.of(alert.id)

    def refresh(self) -> History:
        """Read on to the present end of the topic."""
        if self._reader is None:
            reader = TopicReader(self._settings, self._topic)
            try:
                self._reader = reader.__enter__()
            except TopicMissing:
                return self.history
        else:
            self._reader.renew()
        partitions = len(self._reader.ends)
        if partitions != 1:
            raise TopicMissing(
                f"topic {self._topic} has {partitions} partitions: it must have one, for its order is the history"
            )
        if self._next < self._reader.ends[0]:
            for message in self._reader.messages({0: self._next}):
                self.history.offer(message.key(), message.value(), message.offset())
            self._next = self._reader.ends[0]
        return self.history

    def add(self, alert: Alert, action: Action, *, who: str, why: str = "", assignee: str = "") -> Reviewed:
        """Write an entry and return it once it stands. Creates the topic if settings allow it.

        Raises ConfigurationError if there is nothing to say (a decision that stands already, no reason given), and what
        the topic raises. After BrokerUnavailable the entry may stand all the same: `refresh` and look.
        """
        ensure_topics(self._settings, [Topic(self._topic, 1, COMPACTED)])
        producer = Producer({**self._settings.kafka(), "enable.idempotence": True}, logger=LOGGER)
        for _ in range(ATTEMPTS):
            history = self.refresh()
            _check(history.of(alert.id), alert, action, why, assignee)
            entry = ReviewEntry(
                number=history.number + 1,
                previous=history.head,
                alert=alert.id,
                monitor=alert.monitor,
                drug=alert.drug,
                event=alert.event,
                kind=alert.kind,
                bucket=alert.bucket,
                cases=alert.cases,
                action=action,
                who=who,
                at=time.time_ns() // 1_000_000,
                why=why,
                assignee=assignee,
            )
            value = encode(entry)
            offset = self._write(producer, name_of(value), value)
            while self._next <= offset:
                self.refresh()
            if name_of(value) in self.history:
                return Reviewed(entry, name_of(value), offset)
        raise BrokerUnavailable(f"topic {self._topic}: {ATTEMPTS} times somebody else wrote first")

    def _write(self, producer: Producer, name: str, value: bytes) -> int:
        done: list[Message] = []
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, message: Message) -> None:
            if error is None:
                done.append(message)
            else:
                failed.append(error)

        where = f"writing to topic {self._topic}"
        try:
            producer.produce(self._topic, value, name, partition=0, on_delivery=told)
            producer.flush(DELIVERY_SECONDS)
        except KafkaException as error:
            raise transport_error(error, where) from None
        if failed:
            raise transport_error(failed[0], where)
        if not done:
            raise BrokerUnavailable(f"{where}: no answer for {DELIVERY_SECONDS} s; it may have been written")
        return int(done[0].offset())


def _check(review: Review, alert: Alert, action: Action, why: str, assignee: str) -> None:
    """Raise ConfigurationError if the entry would say nothing."""
    if action in DECISIONS or action == "comment":
        if not why.strip():
            raise ConfigurationError("a reason is needed: give it with --why")
        last = review.decided
        if (
            last is not None
            and DECISIONS.get(action) == review.status
            and (last.bucket, last.cases) == (alert.bucket, alert.cases)
        ):
            raise ConfigurationError(
                f"alert {alert.id} is {review.status} already, by {last.who}, on the same evidence; "
                "`vigilia review comment` adds to it"
            )
    elif assignee == review.assignee:
        raise ConfigurationError(f"alert {alert.id} is assigned to {assignee or 'nobody'} already")
