"""A member of a consumer group: positions, epochs and rebalances. The thread side of `streams.transport.source`.

All of librdkafka's callbacks run inside `turn` and `close`, which one thread calls. The event loop's thread calls
`seek`, `hold`, `commit`, `current` and `assigned`; what both touch is under the lock.

A rebalance may fall between two messages of one `consume()`. What such a call returned for a partition that was
assigned within it is dropped and read again from the partition's start: it may mix old and new messages.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams.errors import BrokerUnavailable, StateConflict
from streams.transport.batch import Batch, Partition
from streams.transport.failures import (
    LOGGER,
    OUT_OF_RANGE,
    PARTITION_END,
    log_commit,
    log_error,
    raise_unless_passing,
    transport_error,
)

__all__ = ["Leaving", "Member", "Starts"]

log = structlog.get_logger(__name__)

Starts = Callable[[Sequence[Partition]], Awaitable[Mapping[Partition, int]]]
Leaving = Callable[[Sequence[Partition]], Awaitable[Mapping[Partition, int]]]

WAIT_SECONDS = 0.2  # longest time that a seek, a pause or stopping waits for `turn`
OWNER_SECONDS = 240.0  # longest that a rebalance waits for the owner, who may wait for Redis; Kafka: 300
BROKER_SECONDS = 10.0


class Member:
    """One consumer. See `BatchSource` for the meaning of the arguments."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topics: Sequence[str],
        loop: asyncio.AbstractEventLoop,
        starts: Starts | None,
        leaving: Leaving | None,
    ) -> None:
        self._loop = loop
        self._starts, self._leaving = starts, leaving
        self._lock = threading.Lock()
        self._positions: dict[Partition, int] = {}  # of the partitions that are ours: where the next batch begins
        self._epochs: dict[Partition, int] = {}
        self._seeks: dict[Partition, int] = {}
        self._commits: dict[Partition, tuple[int, str]] = {}
        self._held: frozenset[Partition] = frozenset()
        # Of the consuming thread alone.
        self._fresh: set[Partition] = set()  # assigned during the present turn
        self._paused: set[Partition] = set()
        self._failure: BaseException | None = None
        self._consumer = Consumer({**config, "logger": LOGGER, "error_cb": log_error, "on_commit": log_commit})
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    # ------------------------------------------------------------ from any thread

    def current(self, batch: Batch) -> bool:
        """Whether the batch's partition was ours ever since and has not been sought."""
        source = batch.source
        return source in self._positions and self._epochs[source] == batch.epoch

    def seek(self, source: Partition, offset: int) -> bool:
        """Void what was consumed and read on from `offset`. False if the partition is not ours."""
        with self._lock:
            if source not in self._positions:
                return False
            self._epochs[source] += 1
            self._seeks[source] = offset
            return True

    def hold(self, sources: Iterable[Partition]) -> None:
        """Pause exactly these from the next turn on, as long as they stay ours."""
        self._held = frozenset(sources)

    def commit(self, offsets: Mapping[Partition, int], metadata: str) -> None:
        """Have the next turn commit this.

        Not from here: Consumer.commit() blocks while another thread is in a rebalance callback, and that one waits
        for the event loop, which would be in commit().
        """
        with self._lock:
            self._commits.update((source, (offset, metadata)) for source, offset in offsets.items())

    def committed(self, sources: Iterable[Partition]) -> dict[Partition, tuple[int, str]]:
        """The group's commits and their metadata, -1 where there is none. Raises TransportError."""
        try:
            found = self._consumer.committed([TopicPartition(*source) for source in sources], BROKER_SECONDS)
        except KafkaException as error:
            raise transport_error(error, "reading the group's commits") from None
        return {(c.topic, c.partition): (max(c.offset, -1), c.metadata or "") for c in found}

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that are ours at this moment."""
        with self._lock:
            return frozenset(self._positions)

    # ------------------------------------------------------------ from the consuming thread

    def turn(self, most: int, linger: float, throttled: bool) -> list[Batch]:
        """Carry out seeks and pauses, then take what is there: at most `most` messages, a batch for each partition.

        Waits for the first message, then at most `linger` seconds for more. `throttled` pauses all partitions and only
        answers the broker. Raises VigiliaError and KafkaException.
        """
        self._restart_sought()
        self._commit_asked()
        self._pause_and_resume(throttled)
        self._fresh.clear()
        messages = self._consumer.consume(1, 0 if throttled else WAIT_SECONDS)
        if messages and not throttled and most > 1:
            messages += self._consumer.consume(most - 1, linger)
        if self._failure is not None:
            raise self._failure
        return self._cut(messages) if messages else []

    def close(self) -> None:
        """Leave the group; the owner is asked what to commit first."""
        self._commit_asked()
        self._consumer.close()
        if self._failure is not None:
            log.warning("leaving_failed", kind=type(self._failure).__name__)

    def _cut(self, messages: list[Message]) -> list[Batch]:
        batches: dict[Partition, Batch | None] = {}
        out_of_range: list[Partition] = []
        with self._lock:
            for message in messages:
                source = (message.topic(), message.partition())
                error = message.error()
                if error is not None and error.code() not in (PARTITION_END, OUT_OF_RANGE):
                    raise_unless_passing(error, source)
                    continue
                batch = batches[source] if source in batches else batches.setdefault(source, self._open(source))
                if batch is None:
                    continue
                if error is None:
                    batch.add(message)
                elif error.code() == PARTITION_END:
                    batch.end = message.offset()
                else:
                    out_of_range.append(source)
            cut = [batch for batch in batches.values() if batch is not None]
            self._positions.update((batch.source, batch.next) for batch in cut)
        ready = [batch for batch in cut if batch.messages or batch.end is not None]
        return ready + [batch for source in out_of_range for batch in self._skip_deleted(source)]

    def _open(self, source: Partition) -> Batch | None:
        """A new batch, or None where what comes is void."""
        position = self._positions.get(source)
        if position is None or source in self._seeks:
            return None
        if source in self._fresh:
            self._seeks[source] = position
            return None
        return Batch(source, self._epochs[source], position)

    def _skip_deleted(self, source: Partition) -> list[Batch]:
        """The position is not in the log: either its messages were deleted, or the log is not the one we knew."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*source), BROKER_SECONDS, cached=False)
        with self._lock:
            position = self._positions[source]
            if source in self._seeks:
                return []
            if position > high:
                raise StateConflict(
                    f"{source[0]}/{source[1]}: to be read on from offset {position}, but its log ends at {high}; "
                    "was the topic deleted and made again?"
                )
            self._seeks[source] = max(low, position)
            if position >= low:
                return []
            batch = Batch(source, self._epochs[source], position)
            batch.next, batch.deleted = low, True
        log.warning("deleted_unread", topic=source[0], partition=source[1], first=position, last=low - 1)
        return [batch]

    def _commit_asked(self) -> None:
        """Commit, without waiting, what was asked for and is still ours."""
        with self._lock:
            asked, self._commits = self._commits, {}
            ours = [TopicPartition(*s, offset, note) for s, (offset, note) in asked.items() if s in self._positions]
        if ours:
            self._consumer.commit(offsets=ours, asynchronous=True)

    def _restart_sought(self) -> None:
        with self._lock:
            seeks, self._seeks = self._seeks, {}
            seeks = {source: offset for source, offset in seeks.items() if source in self._positions}
            self._positions.update(seeks)
        if seeks:
            # Not Consumer.seek(): it refuses where fetching has stopped, as after an offset out of range.
            self._consumer.incremental_unassign([TopicPartition(*source) for source in seeks])
            self._consumer.incremental_assign([TopicPartition(*source, offset) for source, offset in seeks.items()])
            self._consumer.resume([TopicPartition(*source) for source in seeks])
            self._paused -= seeks.keys()

    def _pause_and_resume(self, throttled: bool) -> None:
        ours = self.assigned
        wanted = ours if throttled else ours & self._held
        if stop := wanted - self._paused:
            self._consumer.pause([TopicPartition(*source) for source in stop])
        if resume := (self._paused & ours) - wanted:
            self._consumer.resume([TopicPartition(*source) for source in resume])
        self._paused = set(wanted)

    # ------------------------------------------------------------ librdkafka's callbacks

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        sources = [(p.topic, p.partition) for p in partitions]
        try:
            starts = self._begin(sources)
        except Exception as error:  # noqa: BLE001 - librdkafka would lose it; `turn` raises it
            self._failure = error
            consumer.incremental_assign([])
            return
        with self._lock:
            for source in sources:
                self._epochs.setdefault(source, 0)
                self._positions[source] = starts[source]
                self._seeks.pop(source, None)
        self._fresh.update(sources)
        self._paused.difference_update(sources)
        consumer.incremental_assign([TopicPartition(*source, starts[source]) for source in sources])
        # librdkafka remembers that a partition was paused when it was ours before: it would never be fetched.
        consumer.resume([TopicPartition(*source) for source in sources])
        log.info("partitions_assigned", partitions=[f"{t}/{p} from {starts[t, p]}" for t, p in sources])

    def _begin(self, sources: list[Partition]) -> dict[Partition, int]:
        starts = dict(self._ask(self._starts, sources))
        missing = [source for source in sources if source not in starts]
        deadline = time.monotonic() + OWNER_SECONDS
        while missing:
            try:
                starts.update((source, max(offset, 0)) for source, (offset, _) in self.committed(missing).items())
            except BrokerUnavailable:
                if time.monotonic() > deadline:
                    raise
            else:
                break
        return starts

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        sources = [(p.topic, p.partition) for p in partitions]
        try:
            offsets = self._ask(self._leaving, sources)
            commits = [TopicPartition(*source, offset) for source, offset in offsets.items() if source in sources]
            if commits:
                consumer.commit(offsets=commits, asynchronous=False)
        except KafkaException as error:
            # The offsets stay where they were: the new owner repeats what lies behind them.
            log.info("commit_refused", error=str(transport_error(error)))
        except Exception as error:  # noqa: BLE001 - librdkafka would lose it; `turn` raises it
            self._failure = error
        self._forget(sources)
        consumer.incremental_unassign(partitions)
        log.info("partitions_revoked", partitions=[f"{t}/{p}" for t, p in sources])

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        sources = [(p.topic, p.partition) for p in partitions]
        try:
            self._ask(self._leaving, sources)
        except Exception as error:  # noqa: BLE001 - librdkafka would lose it; `turn` raises it
            self._failure = error
        self._forget(sources)
        consumer.incremental_unassign(partitions)
        log.warning("partitions_lost", partitions=[f"{t}/{p}" for t, p in sources])

    def _forget(self, sources: list[Partition]) -> None:
        with self._lock:
            for source in sources:
                self._epochs[source] = self._epochs.get(source, 0) + 1
                self._positions.pop(source, None)
                self._seeks.pop(source, None)
            # Whoever gets it next, perhaps we again, asks anew: paused, it would never tell that it is at its end.
            self._held = self._held.difference(sources)
        self._fresh.difference_update(sources)
        self._paused.difference_update(sources)

    def _ask(self, owner: Starts | Leaving | None, sources: list[Partition]) -> Mapping[Partition, int]:
        """Await the owner on the event loop, which is free: it only awaits this thread."""
        if owner is None:
            return {}

        async def answer() -> Mapping[Partition, int]:
            return await owner(sources)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(OWNER_SECONDS)
