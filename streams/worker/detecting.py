"""The detect stage on the event loop: batches from Kafka to `Detection`'s thread, alerts from there to Kafka.

In order, for every batch: apply, commit for lag monitoring, close what is due. On a timer besides: closes that were not
tried or did not succeed, provisional alerts, and whatever the alerts topic lacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import structlog

from streams.alerts.closer import Closed
from streams.alerts.publisher import Message
from streams.errors import StateDirty, TransportError, VigiliaError
from streams.monitors import Monitor
from streams.settings import Settings
from streams.state.store import Refused
from streams.transport import Batch, BatchSource, Partition, Sink
from streams.worker.alerts_feed import AlertsFeed
from streams.worker.detection import Detection

__all__ = ["Detecting"]

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

RETRY_SECONDS = 1.0


class _Turn(NamedTuple):
    """What a turn of the timer found: closes, and records that the topic lacks (None: not known yet)."""

    closed: list[Closed]
    lacking: list[Message] | None


class Detecting:
    """One worker's detect stage: `run()` until `stop()`, or, in a bounded run, until the last bucket is closed."""

    def __init__(
        self,
        monitor: Monitor,
        settings: Settings,
        detection: Detection,
        sink: Sink,
    ) -> None:
        self.monitor, self.settings = monitor, settings
        self.detection = detection
        self.feed = AlertsFeed(settings.kafka(), settings.alerts_topic, monitor.title)
        self._sink = sink
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="detect")
        self._stopping = asyncio.Event()
        self._source = BatchSource(
            settings.kafka(),
            f"{monitor.name}.detect",
            [monitor.assessments_topic],
            starts=self._starts,
            batch_messages=settings.batch_messages,
            queue_batches=settings.queue_batches,
            session_ms=settings.session_timeout_ms,
        )

    async def run(self) -> None:
        """Work until stopped or finished. Raises VigiliaErrors that are not retriable."""
        self._loop = asyncio.get_running_loop()
        await self._call(self._open)
        try:
            async with self._source:
                reading = asyncio.create_task(self._read())
                timing = asyncio.create_task(self._tick())
                try:
                    done, _ = await asyncio.wait({reading, timing}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._stopping.set()
                    reading.cancel()
                await asyncio.gather(reading, timing, return_exceptions=True)
                for task in done:
                    task.result()
        finally:
            await self._in_thread(self._close)
            self._thread.shutdown(wait=False)

    def stop(self) -> None:
        """Take no more work; `run` returns once the batch in hand is done."""
        self._stopping.set()

    def status(self) -> dict[str, object]:
        """See `Stage`."""
        partitions, waiting = len(self._source.assigned), self._source.queued[0]
        return {"stage": "detect", "partitions": partitions, "batches_waiting": waiting, **self.detection.status()}

    # ------------------------------------------------------------ the thread

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _call(self, work: Callable[[], Result]) -> Result:
        """Do it in the thread; again while it fails with an error that may pass, or after a state left half done."""
        dirty = False
        while True:
            try:
                if dirty:
                    await self._in_thread(self.detection.rebuild)
                    dirty = False
                return await self._in_thread(work)
            except StateDirty:
                dirty = True
            except VigiliaError as error:
                if not error.retriable or self._stopping.is_set():
                    raise
                log.warning("detect_waits", reason=error.reason, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    def _open(self) -> None:
        self.detection.open()
        self.feed.open()

    def _close(self) -> None:
        self.feed.close()
        self.detection.close()

    # ------------------------------------------------------------ assessments

    async def _starts(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        starts = await self._call(lambda: self.detection.starts([number for _, number in partitions]))
        return {partition: starts[partition[1]] for partition in partitions}

    async def _read(self) -> None:
        while (batch := await self._source.get()) is not None:
            if batch.messages:
                await self._apply(batch)

    async def _apply(self, batch: Batch) -> None:
        """Apply a batch. Should its partition be taken away meanwhile, Redis decides whether it still fits."""
        values = [message.value() for message in batch.messages]
        outcome = await self._call(lambda: self.detection.apply(batch.partition, batch.position, batch.next, values))
        if isinstance(outcome, Refused):
            if self._source.current(batch):
                self._source.seek(batch.source, outcome.next_a)
            return
        if self._source.current(batch):
            self._source.commit({batch.source: batch.next})
        if outcome.closable is not None:
            await self._call(self.detection.close_due)

    # ------------------------------------------------------------ the timer

    async def _tick(self) -> None:
        pause = self.settings.provisional_interval_ms / 1000
        while not self._stopping.is_set():
            turn = await self._call(self._turn)
            await self._publish(turn.lacking or [])
            if not turn.closed and turn.lacking == [] and await self._call(self.detection.is_finished):
                return
            try:
                await asyncio.wait_for(self._stopping.wait(), 0.0 if turn.closed else pause)
            except TimeoutError:
                continue

    def _turn(self) -> _Turn:
        """What the timer is for, as one visit to the thread: each visit waits for the batch that is being applied."""
        for partition, offset in self.detection.moved().items():
            # At once: should what follows fail, the next turn will not find it moved any more.
            source = (self.monitor.assessments_topic, partition)
            self._loop.call_soon_threadsafe(self._source.seek, source, offset)
        closed = self.detection.close_due()
        if self.detection.until is None:
            self.detection.look(behind=self._source.queued[0] > 1)
        for alert_id, record in self.feed.poll():
            self.detection.publisher.observe(alert_id, record)
        return _Turn(closed, self.detection.lacking() if self.feed.caught_up else None)

    async def _publish(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        records = [(message.revision.id.encode(), message.value) for message in messages]
        try:
            await self._sink.send(self.settings.alerts_topic, records)
        except TransportError as error:
            await self._in_thread(lambda: self.detection.undelivered([message.revision for message in messages]))
            if not error.retriable:
                raise
            log.warning("alerts_undelivered", alerts=len(messages), error=str(error))
