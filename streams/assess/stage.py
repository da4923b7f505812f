"""The assess stage: source topics to `<monitor>.assessments`, one record for every source offset, in order.

For a batch of one partition, in this order, and safety depends on it:

1. each message is announced to the partition's sequencer and assessed; coded reports at once, texts by tasks that wait
   for the classifier and may finish in any order;
2. what the sequencer releases is handed to the sink, to the assessments partition of the same number;
3. when a group is delivered, its records are reported to the sequencer;
4. only what the sequencer calls committable is committed.

After a failed delivery everything of the partition that is not committed is dropped, and it is read again from there.
A classifier that can't be reached is waited for; the queue of the source fills and its partitions are paused.

In burst mode (`until`: the end offset of each source partition on the broker) the stage reads no further, writes an end
tick behind the last record (with `end_ticks`), and is `finished` when every partition of the roster has got that far,
whoever owns it. Without, quiet partitions of live topics that are read to their end get a clock tick whenever it lets
them pass another bucket.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from streams.assess.assessor import Assessor, Draft, Origin, encoded
from streams.assess.ends import all_ended, end_mark, idle
from streams.assess.reading import TextDesk
from streams.assess.run import Run
from streams.assess.sequencer import Released, Ticket
from streams.assess.text import Reader, TextReading
from streams.detect.time import Timing
from streams.errors import ConfigurationError, PoisonInput, TopicMissing, TransportError
from streams.events import END_OF_TIME, Assessment, DeadLetter
from streams.monitors import Monitor
from streams.transport import Batch, BatchSource, Partition, Sink

__all__ = ["AssessStage"]

log = structlog.get_logger(__name__)

COMMIT_SECONDS = 0.2
WATCH_SECONDS = 0.25


class AssessStage:
    """Reads from `source`, a group of its own on the monitor's source topics, and writes to `sink`.

    `reader` and `model` are needed by a monitor that reads text. `now` gives milliseconds UTC and serves clock ticks
    alone. The source must be made with `leaving=stage.leaving`; see `connect`.
    """

    def __init__(
        self,
        monitor: Monitor,
        assessor: Assessor,
        sink: Sink,
        *,
        reader: Reader | None = None,
        model: str | None = None,
        until: Mapping[Partition, int] | None = None,
        end_ticks: bool = True,
        tick_seconds: float = 5.0,
        settle_seconds: float = 20.0,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if monitor.reads_text and (reader is None or model is None):
            raise ConfigurationError(f"monitor {monitor.name} reads text and needs a classifier")
        self._monitor, self._assessor, self._sink = monitor, assessor, sink
        self._model = model or ""
        self._until = dict(until) if until is not None else None
        self._end_ticks = end_ticks
        self._tick_seconds, self._settle_seconds = tick_seconds, settle_seconds
        self._now = now
        self._topic = monitor.assessments_topic
        self._names = {monitor.on_broker(topic): topic for topic in monitor.topics}  # on the broker -> in records
        self._roster = frozenset((monitor.on_broker(topic), partition) for topic, partition in monitor.roster)
        self._live = frozenset(monitor.on_broker(source.topic) for source in monitor.sources if source.live)
        self._timing = Timing(monitor.bucket_ms, monitor.disorder_ms)
        self._runs: dict[Partition, Run] = {}
        self._desk = TextDesk(reader, monitor.text, self._fail, pause) if reader is not None else None
        self._crashed: asyncio.Future[None] | None = None
        self._stopping = asyncio.Event()
        self.outcomes: Counter[str] = Counter()
        self.finished = asyncio.Event()

    @property
    def group(self) -> str:
        """The consumer group of the stage."""
        return f"{self._monitor.name}.assess"

    def connect(self, config: Mapping[str, str], **options: object) -> BatchSource:
        """A source for this stage; `options` go to BatchSource."""
        return BatchSource(config, self.group, list(self._names), leaving=self.leaving, **options)  # type: ignore[arg-type]

    async def run(self, source: BatchSource) -> None:
        """Work until `stop`, or in burst mode until all is done; deliver what was taken, commit, leave the group.

        Raises VigiliaError for what can't be mended by trying again.
        """
        self._source = source
        crashed = self._crashed = asyncio.get_running_loop().create_future()
        async with source:
            reading = asyncio.create_task(self._consume())
            timers = [asyncio.create_task(work()) for work in (self._keep_committing, self._keep_watching)]
            ends = [asyncio.create_task(event.wait()) for event in (self._stopping, self.finished)]
            try:
                waited_for = [reading, *timers, *ends, crashed]
                done, _ = await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                reading.cancel()
                timers.append(asyncio.create_task(self._settle()))
                await asyncio.wait([crashed, timers[-1]], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._crashed = None
                tasks = [reading, *timers, *ends]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if self._desk is not None:
                    await self._desk.close()
        if crashed.done():
            crashed.result()

    def stop(self) -> None:
        """Take nothing more; `run` returns when what was taken is delivered, or after `settle_seconds`."""
        self._stopping.set()

    def status(self) -> dict[str, object]:
        """Partitions with records in hand, how many records are not delivered yet, and what became of all so far."""
        pending = sum(run.sequencer.pending for run in self._runs.values())
        return {"partitions": len(self._runs), "pending": pending, "outcomes": dict(sorted(self.outcomes.items()))}

    async def _settle(self) -> None:
        deadline = time.monotonic() + self._settle_seconds
        while unsettled := sum(run.sequencer.pending for run in self._runs.values()):
            if time.monotonic() > deadline:
                log.warning("assess_left_behind", records=unsettled)  # the next owner reads them again
                return
            await asyncio.sleep(0.01)

    async def leaving(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """What to commit for partitions that are taken away; they are forgotten here."""
        runs = [run for source in partitions if (run := self._runs.pop(source, None)) is not None]
        return {run.source: run.sequencer.committable for run in runs if run.sequencer.committable > run.committed}

    # ------------------------------------------------------------ 1: read and assess

    async def _consume(self) -> None:
        while (batch := await self._source.get()) is not None:
            await self._sink.room()
            if self._desk is not None:
                await self._desk.room()
            if self._source.current(batch):
                self._take(batch)

    def _take(self, batch: Batch) -> None:
        run = self._run_of(batch)
        if run.complete:
            return
        if batch.deleted:
            run.sequencer.gap(batch.next if run.until is None else min(batch.next, run.until))
            self.outcomes["gap"] += 1
        for message in batch.messages:
            if run.until is not None and message.offset() >= run.until:
                break
            self._assess(run, message)
        run.at_end = batch.end is not None
        run.quiet = run.quiet and not batch.messages
        if run.until is not None and max(batch.next, batch.end or 0) >= run.until:
            if self._end_ticks:
                run.sequencer.tick(END_OF_TIME)
            else:
                run.sequencer.gap(run.until)  # the last offsets may hold nothing to read: markers of transactions
            run.complete = True
            self._source.hold(r.source for r in self._runs.values() if r.complete)
        self._release(run)

    def _run_of(self, batch: Batch) -> Run:
        run = self._runs.get(batch.source)
        if run is not None and run.rewound and run.sequencer.seek == batch.position:
            run.epoch, run.rewound = batch.epoch, False
        elif run is None or run.epoch != batch.epoch:
            if batch.source not in self._roster:
                raise TopicMissing(
                    f"topic {batch.topic} has a partition {batch.partition} that the monitor {self._monitor.name} does "
                    "not list: a topic that has grown needs a monitor of a new name"
                )
            run = self._runs[batch.source] = Run(
                batch, self._names[batch.topic], None if self._until is None else self._until[batch.source]
            )
        return run

    def _assess(self, run: Run, message: Message) -> None:
        ticket = run.sequencer.read(message.offset())
        kind, timestamp = message.timestamp()
        origin = Origin(
            run.name, run.source[1], ticket.lo, ticket.offset, 0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp
        )
        record = self._assessor.assess(origin, message.value(), message.headers())
        if isinstance(record, Draft):
            assert self._desk is not None
            done = partial(self._has_read, run, ticket, origin, record)
            self._desk.read(record.text, run.name, partial(self._owns, run), done, record.products)
        else:
            self._submit(run, ticket, record)

    def _has_read(
        self, run: Run, ticket: Ticket, origin: Origin, draft: Draft, reading: TextReading | PoisonInput
    ) -> None:
        if isinstance(reading, PoisonInput):
            self._submit(run, ticket, draft.dead_letter(origin, reading))
        else:
            self._submit(run, ticket, draft.record(reading, self._model))
        self._release(run)

    def _owns(self, run: Run) -> bool:
        return self._runs.get(run.source) is run

    def _submit(self, run: Run, ticket: Ticket, record: Assessment | DeadLetter) -> None:
        if run.sequencer.submit(ticket, record):
            self.outcomes["assessed" if isinstance(record, Assessment) else f"dead_letter:{record.reason}"] += 1

    # ------------------------------------------------------------ 2 and 3: send, and note what is delivered

    def _release(self, run: Run) -> None:
        if run.rewound or not self._owns(run):
            return
        released = run.sequencer.release()
        if released:
            records = [(None, encoded(record)) for _, record in released]
            self._sink.send(self._topic, records, run.source[1]).add_done_callback(
                partial(self._delivered, run, run.epoch, released)
            )

    def _delivered(self, run: Run, epoch: int, released: list[Released], sent: asyncio.Future[None]) -> None:
        if run.rewound or run.epoch != epoch or not self._owns(run) or sent.cancelled():
            return
        error = sent.exception()
        if error is None:
            for ticket, _ in released:
                run.sequencer.delivered(ticket)
        elif isinstance(error, TransportError) and error.retriable:
            self._rewind(run, error)
        else:
            self._fail(error)

    def _rewind(self, run: Run, error: TransportError) -> None:
        offset = run.sequencer.rewind()
        run.rewound, run.complete = True, False
        log.warning("rewound", topic=run.source[0], partition=run.source[1], offset=offset, reason=str(error))
        self.outcomes["rewound"] += 1
        self._source.hold(r.source for r in self._runs.values() if r.complete)
        self._source.seek(run.source, offset)

    def _fail(self, error: BaseException) -> None:
        if self._crashed is not None and not self._crashed.done():
            self._crashed.set_exception(error)

    # ------------------------------------------------------------ 4: commit

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            self._commit()

    def _commit(self) -> None:
        moved = {}
        for run in self._runs.values():
            if run.sequencer.committable > run.committed:
                run.committed = moved[run.source] = run.sequencer.committable
        if moved:
            self._source.commit(moved)

    # ------------------------------------------------------------ the end of a burst, and clock ticks

    async def _keep_watching(self) -> None:
        seconds = self._tick_seconds if self._until is None else WATCH_SECONDS
        while True:
            await asyncio.sleep(seconds)
            if self._until is None:
                self._tick()
            elif all(
                (run := self._runs.get(s)) and run.complete and not run.sequencer.pending for s in self._source.assigned
            ):
                await self._check_finished(self._until)

    async def _check_finished(self, until: Mapping[Partition, int]) -> None:
        """Say with the commit that our partitions are complete, and look whether all are."""
        for run in self._runs.values():
            run.committed = run.sequencer.committable
            self._source.commit({run.source: run.committed}, end_mark(until[run.source]))
        if await all_ended(self._source, self._roster, until):
            self.finished.set()

    def _tick(self) -> None:
        now = self._now()
        for run in idle(self._runs.values(), self._live, self._timing.floor(now)):
            run.sequencer.tick(now)
            self._release(run)
            self.outcomes["tick"] += 1
