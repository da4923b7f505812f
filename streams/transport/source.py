"""The batch source: confluent-kafka's consumer as an asyncio stream of batches, one partition a batch.

`consume()` runs in a thread of its own; batches wait in a bounded queue for the stage on the event loop. While the
queue is full nothing is consumed; if that lasts, the partitions are paused and the consumer goes on answering the
broker.

**Epochs.** Each partition has an epoch. It is bumped when the partition is revoked or lost and when the owner seeks,
for that partition alone, and it is stamped on a batch by the thread that runs the rebalance callbacks. Results of a
batch that is no longer `current` are dropped. (One generation for all partitions loses messages under cooperative
rebalancing: the partitions that stay are not rewound.)

**Where to start.** `starts` says where each newly assigned partition is read from; without it the group's commit
counts, or 0 where there is none. A position whose messages Kafka has deleted gives a batch with `deleted` set that
covers them, then reading goes on behind it. One that lies beyond the end of the log is StateConflict.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import KafkaException

from streams.transport.batch import Batch, Partition
from streams.transport.failures import transport_error
from streams.transport.member import WAIT_SECONDS, Leaving, Member, Starts

__all__ = ["Batch", "BatchSource", "Partition"]

FULL_SECONDS = 1.0  # how long the queue may be full before partitions are paused: pausing throws away what was fetched


class BatchSource:
    """A member of a consumer group, for one event loop. An async context manager.

    `starts` and `leaving` are awaited on the event loop during a rebalance: where to begin with newly assigned
    partitions, and what to commit for those that are taken away (for those lost already the answer is not used). The
    queue holds `queue_batches` batches and `queue_bytes` of message values, and what one more turn brings.

    >>> async def read(config):
    ...     async with BatchSource(config, "group", ["topic"]) as source:
    ...         while batch := await source.get():
    ...             ...
    ...             if source.current(batch):
    ...                 source.commit({batch.source: batch.next})
    """

    def __init__(
        self,
        config: Mapping[str, str],
        group: str,
        topics: Sequence[str],
        *,
        starts: Starts | None = None,
        leaving: Leaving | None = None,
        batch_messages: int = 1000,
        queue_batches: int = 8,
        queue_bytes: int = 64 << 20,
        linger_seconds: float = 0.005,
        session_ms: int = 10_000,
    ) -> None:
        self._config: dict[str, Any] = {
            **config,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": session_ms // 5,
            "fetch.wait.max.ms": 100,  # a seek waits for the fetch that is under way
            "queued.max.messages.kbytes": 32 << 10,
            "allow.auto.create.topics": False,
        }
        self._topics = list(topics)
        self._starts, self._leaving = starts, leaving
        self._most, self._linger = batch_messages, linger_seconds
        self._queue_batches, self._queue_bytes = queue_batches, queue_bytes
        self._queue: deque[Batch] = deque()
        self._queued_bytes = 0
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="consume")
        self._failure: Exception | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._stopping = False
        self._resumed = asyncio.Event()
        self._resumed.set()

    async def start(self) -> BatchSource:
        """Join the group. Returns at once; partitions are assigned when the broker answers."""
        self._loop = asyncio.get_running_loop()
        self._member = Member(self._config, self._topics, self._loop, self._starts, self._leaving)
        self._pumping = asyncio.create_task(self._pump())
        return self

    async def stop(self) -> None:
        """Leave the group, after `leaving` was asked for every partition. Batches in the queue are dropped."""
        if self._pumping is None or self._stopping:
            return
        self._stopping = True
        self._room.set()
        self._resumed.set()
        await asyncio.wait([self._pumping])
        await self._loop.run_in_executor(self._thread, self._member.close)
        self._thread.shutdown(wait=False)
        self._arrived.set()

    async def __aenter__(self) -> BatchSource:
        return await self.start()

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def get(self) -> Batch | None:
        """The next batch that is current; None once the source is stopped. Raises what broke it: VigiliaError."""
        while True:
            while self._queue:
                batch = self._queue.popleft()
                self._queued_bytes -= batch.size
                self._room.set()
                if self._member.current(batch):
                    return batch
            if self._failure is not None:
                raise self._failure
            if self._stopping:
                return None
            self._arrived.clear()
            await self._arrived.wait()

    def current(self, batch: Batch) -> bool:
        """Whether results of the batch still count: not after its partition was revoked, lost or sought."""
        return self._member.current(batch)

    def seek(self, partition: Partition, offset: int) -> None:
        """Read the partition on from `offset`. What was consumed of it is void at once. No effect if it is not ours."""
        if self._member.seek(partition, offset):
            self._queue = deque(batch for batch in self._queue if batch.source != partition)
            self._queued_bytes = sum(batch.size for batch in self._queue)
            self._room.set()

    def hold(self, partitions: Iterable[Partition]) -> None:
        """Pause exactly these partitions; none: resume all. What is in the queue already still comes."""
        self._member.hold(partitions)

    def pause(self) -> None:
        """Pause all partitions until `resume`, those too that are assigned meanwhile. The broker is answered as before.

        What is in the queue already still comes.
        """
        self._resumed.clear()

    def resume(self) -> None:
        """End a `pause`. Partitions that are held, or have no room in the queue, stay paused."""
        self._resumed.set()

    @property
    def paused(self) -> bool:
        """Whether a `pause` is on."""
        return not self._resumed.is_set()

    def commit(self, offsets: Mapping[Partition, int], metadata: str = "") -> None:
        """Commit offsets of partitions that are ours, without waiting; refusals are logged.

        A refused commit loses nothing: the next one covers it, or the new owner repeats what lies behind it.
        """
        if not self._stopping:
            self._member.commit(offsets, metadata)

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, str]]:
        """The group's commits and their metadata, for any partitions; (-1, "") where there is none.

        Raises TransportError.
        """
        return await self._loop.run_in_executor(None, self._member.committed, list(partitions))

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that are ours at this moment."""
        return frozenset() if self._pumping is None else self._member.assigned

    @property
    def queued(self) -> tuple[int, int]:
        """Batches and bytes that wait in the queue."""
        return len(self._queue), self._queued_bytes

    def _is_full(self) -> bool:
        return len(self._queue) >= self._queue_batches or self._queued_bytes >= self._queue_bytes

    async def _pump(self) -> None:
        throttled = False
        try:
            while not self._stopping:
                throttled = await self._throttle(throttled)
                turn = self._loop.run_in_executor(self._thread, self._member.turn, self._most, self._linger, throttled)
                for batch in await turn:
                    self._queue.append(batch)
                    self._queued_bytes += batch.size
                self._arrived.set()
        except KafkaException as error:
            self._failure = transport_error(error, "consuming")
        except Exception as error:  # noqa: BLE001 - `get` raises it
            self._failure = error
        finally:
            self._arrived.set()

    async def _throttle(self, before: bool) -> bool:
        """Whether the next turn may take nothing. Waits a little before it says so again: turns must not spin."""
        if not self._resumed.is_set():
            return not (before and await _happens(self._resumed, WAIT_SECONDS))
        if not self._is_full():
            return False
        self._room.clear()
        return not await _happens(self._room, WAIT_SECONDS if before else FULL_SECONDS)


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event is set within the time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
