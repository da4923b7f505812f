"""Assess workers that come, go and die: the chain of assessments stays whole."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.assess.assessor import Assessor
from streams.assess.stage import AssessStage
from streams.events import END_OF_TIME, AdverseEvent, Product, Tick, decode_record
from streams.monitors import Monitor, Source
from streams.transport import Sink, extents
from tools.kafka import Broker

pytestmark = pytest.mark.kafka

PARTITIONS = 4
ROOT = Path(__file__).resolve().parent.parent.parent


class World:
    """A monitor of two source topics, each with `each` reports a partition."""

    def __init__(self, log: Any, unique: Callable[[str], str], each: int) -> None:
        self.log, self.each = log, each
        self.topics = [log.create(unique("reports"), PARTITIONS) for _ in range(2)]
        self.monitor = Monitor(
            name=unique("faults"), sources=tuple(Source(topic=topic, partitions=PARTITIONS) for topic in self.topics)
        )
        log.create(self.monitor.assessments_topic, PARTITIONS)
        received = int(time.time() * 1000) - 86_400_000
        for source in self.monitor.roster:
            log.write(
                source[0],
                [
                    msgspec.json.encode(AdverseEvent(f"{source}-{i}", [Product("a")], ["b"], received_at=received + i))
                    for i in range(each)
                ],
                source[1],
            )
        self.until = {s: e.high for s, e in extents(log.config, self.monitor.roster).items()}

    def check(self, failures: bool = False) -> int:
        """Apply detect's rule to the assessments. Returns how many records repeated what was there.

        Without failed deliveries no record may jump one that is missing.
        """
        following = dict.fromkeys(self.monitor.roster, 0)
        ended = set()
        repeated = beyond = 0
        for partition in range(PARTITIONS):
            for message in self.log.read(self.monitor.assessments_topic, partition):
                record = decode_record(message.value())
                source = (record.topic, record.partition)
                assert record.partition == partition
                if isinstance(record, Tick):
                    if record.at == following[source]:
                        assert record.received_at == END_OF_TIME
                        ended.add(source)
                elif record.offset < following[source]:
                    repeated += 1
                elif record.lo > following[source]:
                    beyond += 1
                else:
                    assert record.case_id == f"{source}-{record.offset}"
                    assert record.lo == following[source], "each record covers its own offset alone"
                    following[source] = record.offset + 1
        assert following == dict.fromkeys(self.monitor.roster, self.each)
        assert ended == set(self.monitor.roster)
        assert failures or beyond == 0
        return repeated


def test_the_chain_is_whole_when_workers_join_and_leave(kafka_log: Any, unique: Callable[[str], str]) -> None:
    """1 -> 2 -> 3 -> 2 workers, in cooperative rebalances and in good order."""
    world = World(kafka_log, unique, each=4000)

    @asynccontextmanager
    async def worker() -> AsyncIterator[AssessStage]:
        sink = Sink(kafka_log.config)
        stage = AssessStage(world.monitor, Assessor(world.monitor, b"key"), sink, until=world.until)
        source = stage.connect(kafka_log.config, session_ms=1500, batch_messages=20, queue_batches=2)
        running = asyncio.create_task(stage.run(source))
        yield stage
        stage.stop()
        await asyncio.wait_for(running, 30)
        await sink.close()

    async def run() -> None:
        async with worker() as first:
            await asyncio.sleep(0.7)
            async with worker():
                await asyncio.sleep(0.7)
                async with worker():
                    await asyncio.sleep(0.7)
            await asyncio.wait_for(first.finished.wait(), 60)

    asyncio.run(run())
    world.check()


@pytest.mark.timeout(240)
def test_the_chain_is_whole_after_the_broker_is_killed(kafka_log: Any, unique: Callable[[str], str]) -> None:
    with Broker() as broker:
        world = World(type(kafka_log)(broker.bootstrap_servers), unique, each=3000)

        async def run() -> AssessStage:
            sink = Sink(world.log.config)
            stage = AssessStage(world.monitor, Assessor(world.monitor, b"key"), sink, until=world.until)
            source = stage.connect(world.log.config, batch_messages=20, queue_batches=2)
            running = asyncio.create_task(stage.run(source))
            while stage.outcomes["assessed"] < 5000:
                await asyncio.sleep(0.01)
            broker.kill()
            await asyncio.sleep(2)
            broker.start()
            await asyncio.wait_for(running, 120)
            await sink.close()
            return stage

        asyncio.run(run())
        world.check(failures=True)


@contextmanager
def process(world: World) -> Iterator[subprocess.Popen[bytes]]:
    until = json.dumps([[*source, end] for source, end in world.until.items()])
    script = Path(__file__).with_name("assess_worker.py")
    command = [
        sys.executable,
        str(script),
        world.monitor.model_dump_json(),
        world.log.config["bootstrap.servers"],
        until,
    ]
    with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def wait_for_records(world: World, more_than: int) -> int:
    """Wait until the assessments topic has grown beyond `more_than` records; how many there are."""
    partitions = [(world.monitor.assessments_topic, p) for p in range(PARTITIONS)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        count = sum(extent.high for extent in extents(world.log.config, partitions).values())
        if count > more_than:
            return count
        time.sleep(0.02)
    raise AssertionError(f"no more than {more_than} records")


@pytest.mark.timeout(240)
def test_the_chain_is_whole_after_kills_in_the_middle(kafka_log: Any, unique: Callable[[str], str]) -> None:
    """kill -9 at random moments while records are on their way; then a worker finishes and ends by itself."""
    world = World(kafka_log, unique, each=8000)
    chance = random.Random(3)
    count = 0
    for _ in range(4):
        with process(world) as worker:
            count = wait_for_records(world, count)
            time.sleep(chance.uniform(0, 0.15))
            worker.kill()
            assert worker.wait() == -9
    with process(world) as first, process(world) as second:
        assert first.wait(120) == 0
        assert second.wait(120) == 0
    repeated = world.check()
    assert repeated > 0, "a kill that costs nothing was none: deliver, then commit"
