"""The embedded broker: what the demo needs of it works, clients and Faust alike."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.errors import BrokerUnavailable, ConfigurationError, TopicMissing
from streams.settings import Settings
from streams.transport import Batch, BatchSource, Sink, Topic, ensure_topics, extents
from streams.transport.embedded import EmbeddedBroker


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({"reports": 2, "alerts": 1}) as broker:
        yield broker


def test_topics_have_the_partitions_they_were_declared_with(broker: EmbeddedBroker) -> None:
    broker.create("late", 3)
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, create_topics=False)
    ensure_topics(settings, [Topic("reports", 2), Topic("alerts", 1), Topic("late", 3)])
    with pytest.raises(TopicMissing, match="has 2 partitions, required are 5"):
        ensure_topics(settings, [Topic("reports", 5)])


def test_a_topic_can_be_declared_once_and_must_have_a_name(broker: EmbeddedBroker) -> None:
    with pytest.raises(ConfigurationError, match="TOPIC_ALREADY_EXISTS"):
        broker.create("reports", 2)
    with pytest.raises(ConfigurationError, match="no name"):
        broker.create("two words", 2)


def test_records_go_through_in_order_and_commits_are_kept(broker: EmbeddedBroker) -> None:
    config = {"bootstrap.servers": broker.bootstrap_servers}

    async def run() -> list[int]:
        sink = Sink(config)
        await sink.send("reports", [(None, b"%d" % i) for i in range(3000)], 1)
        found: list[Batch] = []
        for _ in range(2):
            async with BatchSource(config, "group", ["reports"], session_ms=1500) as source:
                while not found or found[-1].next < 2000 or not source.current(found[-1]):
                    batch = await asyncio.wait_for(source.get(), 20)
                    assert batch is not None
                    if batch.messages:
                        found.append(batch)
                if found[-1].next < 3000:
                    source.commit({("reports", 1): found[-1].next})
                    await asyncio.sleep(0.2)
        await sink.close()
        return [message.offset() for batch in found for message in batch.messages]

    offsets = asyncio.run(run())
    assert offsets[:2000] == list(range(2000))
    assert extents(config, [("reports", 1)]) == {("reports", 1): (0, 3000)}


def test_it_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os, signal\n"
        "from streams.transport.embedded import EmbeddedBroker\n"
        "broker = EmbeddedBroker().start()\n"
        "print(broker.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path.cwd())
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "embedded" in Path(f"/proc/{pid}/cmdline").read_text()


def test_one_that_has_ended_is_unavailable() -> None:
    broker = EmbeddedBroker().start()
    broker._process.kill()
    broker._process.wait()
    with pytest.raises(BrokerUnavailable):
        broker.create("x", 1)
    broker.stop()


def test_a_plain_producer_reaches_it(broker: EmbeddedBroker) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    producer.produce("alerts", b"x", key=b"k", headers={"h": b"v"})
    assert producer.flush(10) == 0
