"""The alerts topic as a typed async iterator: `AlertStream`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Literal, Self, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.errors import BrokerUnavailable, NotAuthorised, SchemaMismatch, VigiliaError
from streams.events import Alert, Level, rank
from streams.settings import Settings
from streams.subscribers.following import Following
from streams.subscribers.partition import Partition
from streams.subscribers.reading import PARTITION_EOF, REBALANCED, REQUEST_SECONDS, fetch, new_consumer
from streams.subscribers.revisions import AlertFilter
from streams.transport.failures import transport_error

__all__ = ["AlertStream"]

POLL_SECONDS = 0.25  # how long a stream that is closed may wait for its last fetch
BATCH = 500
SETTLED = -1  # in the place of an offset: all that another route has made ours was handed out
T = TypeVar("T")
log = structlog.get_logger(__name__)


class AlertStream:
    """Alerts as they are raised, updated and withdrawn, each as an `Alert`.

    ```python
    async with AlertStream(settings, group="safety-desk", drug="RV") as stream:
        async for alert in stream:
            print(alert.state, alert.drug, alert.event, alert.cases)
    ```

    Revisions: an alert's newest revision counts, by `streams.events.rank`; a lower one that arrives later is hidden,
    also after a restart (the compacted topic is read from its beginning to know what came before).

    Position: with `group` the stream goes on where the group stopped, and several members share the partitions. An
    alert counts as taken when the next one is asked for, so one that was being handled when the process died comes
    again. To leave the loop with the last alert taken, call `commit()` first. Without a group, or for a new one,
    `from_start` says whether the alerts that are there come first or only what is published from now on.

    With `stream` only the alerts of that stream come: those of the monitor that reports a bucket, whichever has been
    promoted to do so, each pair under the id it has in the stream. `monitor` of an alert says who reported it.

    `follow=False` ends at the end offsets found at the start and gives the newest revision of each alert, in order of
    (bucket, id); a group's position moves when all have been taken.

    A record that is no alert raises SchemaMismatch naming its coordinates; a group's position stays before it, unless
    the caller asks for the next alert all the same. With `unreadable="skip"` it is logged and passed over.

    Raises TopicMissing, NotAuthorised, BrokerUnavailable; while following, a broker that goes away is waited for.
    One task may iterate at a time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str | None = None,
        from_start: bool = True,
        follow: bool = True,
        drug: str | None = None,
        event: str | None = None,
        level: Level | None = None,
        state: str | Collection[str] | None = None,
        monitor: str | None = None,
        stream: str | None = None,
        unreadable: Literal["raise", "skip"] = "raise",
    ) -> None:
        states = None if state is None else frozenset([state] if isinstance(state, str) else state)
        self._filter = AlertFilter(drug, event, level, states, monitor)
        self._settings = settings
        self._topic = settings.alerts_topic
        self._group = group
        self._from_start = from_start
        self._follow = follow
        self._unreadable = unreadable
        self._partitions: dict[int, Partition] = {}
        self._buffer: deque[tuple[Partition, int, Alert | SchemaMismatch | None]] = deque()
        self._handed: tuple[Partition, int] | None = None
        self._fetch: asyncio.Future[list[Message]] | None = None
        self._failure: VigiliaError | None = None
        self._newest: deque[Alert] | None = None
        self._rebalanced = False
        self._fetched: list[Message] = []  # that wait until the route can be looked up
        self._following = None if stream is None else Following(settings, stream)
        self._thread = ThreadPoolExecutor(1, "alerts")
        self._consumer = new_consumer(
            settings,
            {
                "group.id": group or "vigilia-alert-readers",
                "enable.partition.eof": not follow,
                "auto.offset.reset": "earliest",
                "error_cb": self._on_error,
            },
        )

    async def __aenter__(self) -> Self:
        try:
            await self._run(self._open)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._group is not None:
                await self._run(self._commit_taken)
        finally:
            await self._close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Alert:
        if not self._follow:
            return await self._next_of_newest()
        self._take()
        while True:
            while self._buffer:
                partition, offset, alert = self._buffer.popleft()
                if isinstance(alert, SchemaMismatch):
                    raise alert
                self._handed = (partition, offset)
                if alert is not None:
                    return alert
                self._take()
            if self._group is not None:
                await self._run(self._commit_taken)
            self._sort_in(await self._batch())

    async def commit(self) -> None:
        """Count the alert handed over last as taken, and write the group's position. Without a group: nothing."""
        if self._newest is None or not self._newest:
            self._take()
        if self._group is not None:
            await self._run(self._commit_taken)

    # -------------------------------------------------------------- iteration

    def _take(self) -> None:
        if self._handed is not None:
            partition, offset = self._handed
            partition.taken = max(partition.taken, offset + 1)
            if offset == SETTLED:
                partition.version = partition.target
            self._handed = None

    async def _batch(self) -> list[Message]:
        """One fetch, made when the buffer is empty: so a rebalance never finds alerts of a lost partition in it.

        It outlives a cancelled `__anext__` (asyncio.wait_for), or its messages would be lost.
        """
        if self._fetch is None:
            self._fetch = asyncio.get_running_loop().run_in_executor(self._thread, self._consume)
        messages = await asyncio.shield(self._fetch)
        self._fetch = None
        return messages

    def _sort_in(self, messages: list[Message]) -> None:
        for message in messages:
            partition = self._partitions.get(message.partition())
            if partition is None:
                continue
            error = message.error()
            if error is not None:
                self._heed(error, partition)
                continue
            if not self._follow and message.offset() + 1 >= partition.end:
                partition.done = True
                if message.offset() >= partition.end:
                    continue
            waiting = not partition.is_settled
            alert = self._newer(partition, message)
            if alert is not None or message.offset() >= partition.start:
                self._buffer.append((partition, message.offset(), alert))
            if waiting and partition.is_settled:
                self._buffer.append((partition, SETTLED, None))

    def _heed(self, error: KafkaError, partition: Partition) -> None:
        if error.code() == PARTITION_EOF:
            partition.done = True
            return
        failure = transport_error(error, f"topic {self._topic}")
        if not (failure.retriable and self._follow):
            raise failure
        log.warning("kafka_error", error=error.name())

    def _newer(self, partition: Partition, message: Message) -> Alert | SchemaMismatch | None:
        """The alert of a message, if it is a newer revision than those seen and passes the filter."""
        alert = partition.offer(message, self._topic, skip=self._unreadable == "skip")
        return alert if not isinstance(alert, Alert) or self._filter.matches(alert) else None

    async def _next_of_newest(self) -> Alert:
        if self._newest is None:
            while not all(partition.done for partition in self._partitions.values()):
                self._sort_in(await self._batch())
            self._newest = deque(self._select_newest())
        if self._newest:
            return self._newest.popleft()
        for partition in self._partitions.values():
            partition.taken = max(partition.taken, partition.end)
        raise StopAsyncIteration

    def _select_newest(self) -> list[Alert]:
        for entry in self._buffer:
            if isinstance(entry[2], SchemaMismatch):
                self._buffer.remove(entry)
                raise entry[2]
        newest: dict[str, Alert] = {}
        for partition, offset, alert in self._buffer:
            if isinstance(alert, Alert) and (self._following or partition.revisions.is_newest(alert, offset)):
                known = newest.get(alert.id)
                newest[alert.id] = alert if known is None or rank(alert) >= rank(known) else known
        self._buffer.clear()
        return sorted(newest.values(), key=lambda alert: (alert.bucket, alert.id))

    # -------------------------------------------------------------- in the consumer's thread

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _on_error(self, error: KafkaError) -> None:
        failure = transport_error(error, f"Kafka at {self._settings.bootstrap_servers}")
        if isinstance(failure, NotAuthorised):
            self._failure = failure
        log.warning("kafka_error", error=error.name())

    def _open(self) -> None:
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=REQUEST_SECONDS).topics[self._topic]
        except KafkaException as error:
            self._consumer.poll(0)  # serves error_cb, which knows whether credentials were refused
            raise self._failure or transport_error(error, f"Kafka at {self._settings.bootstrap_servers}") from None
        if metadata.error is not None:
            raise transport_error(metadata.error, f"topic {self._topic}")
        if self._following is not None:
            self._following.open()
        if self._group is not None and self._follow:
            self._consumer.subscribe([self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        else:
            self._on_assign(self._consumer, [TopicPartition(self._topic, p) for p in sorted(metadata.partitions)])

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        """Read from the beginning; what lies before the position only tells which revisions are known."""
        try:
            found = assigned if self._group is None else consumer.committed(assigned, timeout=REQUEST_SECONDS)
            for tp in found:
                low, high = consumer.get_watermark_offsets(tp, timeout=REQUEST_SECONDS)
                position = -1 if self._group is None else tp.offset
                start = position if position >= 0 else (low if self._from_start else high)
                partition = Partition(tp.partition, start, high, start, position, low == high, empty=low == high)
                if self._following is not None:
                    self._following.enter(partition, tp.metadata if position > 0 else None)
                self._partitions[tp.partition] = partition
        except KafkaException as error:
            self._failure = transport_error(error, f"topic {self._topic}")
            return
        consumer.assign([TopicPartition(self._topic, tp.partition, OFFSET_BEGINNING) for tp in assigned])
        self._rebalanced = self._group is not None and self._follow

    def _on_revoke(self, _consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._commit_taken()
        for tp in revoked:
            self._partitions.pop(tp.partition, None)

    def _consume(self) -> list[Message]:
        messages = self._fetched = self._fetched or fetch(self._consumer, BATCH, POLL_SECONDS)
        if self._failure is not None:
            raise self._failure
        rerouted = self._is_rerouted(fetched=bool(messages))
        if rerouted is None:
            return []
        self._fetched = []
        if rerouted or self._rebalanced:  # some may have been fetched for the assignment before: begin anew
            self._rebalanced = False
            self._consumer.assign(
                [TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in self._partitions]
            )
            return []
        return messages

    def _is_rerouted(self, *, fetched: bool) -> bool | None:
        """Whether promotions have changed what is ours; None if that can't be told now."""
        if self._following is None:
            return False
        try:
            changed = self._following.has_changed(fetched=fetched)
        except BrokerUnavailable:
            if not self._follow:
                raise
            return None
        if changed:
            route, version = self._following.route, self._following.version
            self._partitions = {number: p.anew(route, version) for number, p in self._partitions.items()}
        return changed

    def _commit_taken(self) -> None:
        moved = [p for p in list(self._partitions.values()) if p.is_ahead]
        if not moved:
            return
        offsets = [TopicPartition(self._topic, p.number, p.taken, p.metadata) for p in moved]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in REBALANCED:  # the next owner hands these alerts out again
                return
            raise transport_error(error, f"group {self._group}") from None
        for partition, offset in zip(moved, offsets, strict=True):
            partition.committed, partition.told = offset.offset, partition.version

    async def _close(self) -> None:
        await self._run(self._consumer.close)
        if self._following is not None:
            await self._run(self._following.close)
        self._thread.shutdown()
