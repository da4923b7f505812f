"""The worker's life cycle: it ends when its stages do, on a signal, on a failure; Faust runs on both brokers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streams.errors import ConfigurationError, StateConflict, StoreUnavailable, TopicMissing, WrongModel
from streams.events import END_OF_TIME, AdverseEvent, Product, Tick, decode_record
from streams.monitors import Monitor, Source
from streams.settings import Settings
from streams.transport import Sink, control_topic, ensure_topics, required_topics
from streams.transport.embedded import EmbeddedBroker
from streams.transport.groups import groups_named
from streams.worker import app as app_module
from streams.worker.app import Worker, credentials, run_worker
from streams.worker.assessing import Assessing, source_ends


class FakeStage:
    """A stage that notes what happens to it."""

    def __init__(self, seconds: float = 3600, failure: Exception | None = None, deaf: bool = False) -> None:
        self.seconds, self.failure, self.deaf = seconds, failure, deaf
        self.told = asyncio.Event()
        self.log: list[str] = []

    async def run(self) -> None:
        self.log.append("started")
        try:
            await asyncio.wait_for(asyncio.sleep(3600) if self.deaf else self.told.wait(), self.seconds)
        except TimeoutError:
            self.log.append("done")
        if self.failure is not None:
            raise self.failure
        self.log.append("ended")

    def stop(self) -> None:
        self.told.set()

    def status(self) -> dict[str, object]:
        self.log.append("asked")
        return {"stage": "fake"}


@pytest.fixture
def world(kafka: str, unique: Callable[[str], str]) -> tuple[Monitor, Settings]:
    monitor = Monitor(name=unique("worker"), sources=(Source(topic=unique("reports"), partitions=2),))
    settings = Settings(bootstrap_servers=kafka, alerts_topic=unique("alerts"), shutdown_seconds=2)
    ensure_topics(settings, required_topics(monitor, settings))
    return monitor, settings


def report(number: int) -> bytes:
    received = int(time.time() * 1000) - 1000
    return msgspec.json.encode(AdverseEvent(f"C{number}", [Product("aspirin")], ["Rash"], received_at=received))


@pytest.mark.kafka
def test_a_bounded_run_ends_when_every_stage_is_done(world: tuple[Monitor, Settings]) -> None:
    first, second = FakeStage(seconds=0.1), FakeStage(seconds=0.5)
    assert run_worker(*world, [first, second]) == 0
    assert first.log == ["started", "done", "ended"]
    assert second.log == ["started", "done", "ended"]


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("failure", "status"),
    [(StateConflict("x"), 1), (ConfigurationError("x"), 2), (TopicMissing("x"), 2), (WrongModel("x"), 2)],
)
def test_a_failing_stage_stops_the_others_and_gives_the_exit_status(
    world: tuple[Monitor, Settings], failure: Any, status: int
) -> None:
    failing, other = FakeStage(seconds=0.1, failure=failure), FakeStage()
    assert run_worker(*world, [failing, other]) == status
    assert other.log == ["started", "ended"]


@pytest.mark.kafka
def test_a_frame_that_crashes_is_no_good_end(world: tuple[Monitor, Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    made = app_module.frame

    def crashing(*args: Any) -> Any:
        app = made(*args)

        @app.timer(0.2)
        async def crash() -> None:
            await app.crash(RuntimeError("x"))

        return app

    monkeypatch.setattr(app_module, "frame", crashing)
    stage = FakeStage()
    assert run_worker(*world, [stage]) == 1
    assert stage.log == ["started", "ended"]


@pytest.mark.kafka
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_the_stages_in_good_order(world: tuple[Monitor, Settings], number: int) -> None:
    before = signal.getsignal(number)
    stage = FakeStage()

    async def run() -> None:
        worker = asyncio.create_task(Worker(*world, [stage]).run())
        while not stage.log:
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), number)
        await asyncio.wait_for(worker, 20)

    try:
        asyncio.run(run())
        assert signal.getsignal(number) == signal.SIG_DFL, "the second one kills"
    finally:
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, before if other == number else signal.default_int_handler)
    assert stage.log == ["started", "ended"]


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("failure", "bounded", "status"),
    [
        (None, False, 0),
        (None, True, 1),  # what it was asked for is not done
        (StoreUnavailable("x"), False, 0),  # nothing is lost: it is read again
        (StoreUnavailable("x"), True, 1),
        (StateConflict("x"), False, 1),
    ],
)
def test_a_worker_that_is_told_to_stop_says_whether_anything_is_left_to_do(
    world: tuple[Monitor, Settings], failure: Any, bounded: bool, status: int
) -> None:
    stage = FakeStage(failure=failure)

    def stop() -> None:
        while not stage.log:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    try:
        assert run_worker(*world, [stage], bounded=bounded) == status
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.kafka
def test_a_stage_that_does_not_stop_is_left_behind(world: tuple[Monitor, Settings]) -> None:
    stage = FakeStage(deaf=True)

    async def run() -> float:
        worker = Worker(*world, [stage])
        running = asyncio.create_task(worker.run(signals=False))
        while not stage.log:
            await asyncio.sleep(0.05)
        began = time.monotonic()
        worker.stop()
        await asyncio.wait_for(running, 60)
        return time.monotonic() - began

    seconds = asyncio.run(run())
    assert 2 <= seconds < 15
    assert stage.log == ["started"]


@pytest.mark.kafka
def test_a_command_on_the_control_topic_reaches_every_worker(world: tuple[Monitor, Settings], kafka_log: Any) -> None:
    monitor, _ = world
    stages = [FakeStage(), FakeStage()]

    async def run() -> None:
        workers = [asyncio.create_task(Worker(*world, [stage]).run(signals=False)) for stage in stages]
        while not all(stage.log for stage in stages):
            await asyncio.sleep(0.05)
        for _ in range(20):
            await asyncio.to_thread(kafka_log.write, control_topic(monitor), [b"nonsense", b"status", b"stop"])
            _done, waiting = await asyncio.wait(workers, timeout=2)
            if not waiting:
                return
        raise AssertionError("not stopped")

    asyncio.run(run())
    for stage in stages:
        assert (stage.log[0], stage.log[-1]) == ("started", "ended")
        assert "asked" in stage.log
    assert groups_named(world[1], f"{monitor.name}.worker.") == [], "each start would leave one"


@pytest.mark.kafka
def test_assessing_in_a_worker_ends_by_itself(world: tuple[Monitor, Settings], kafka_log: Any) -> None:
    monitor, settings = world
    (topic,) = monitor.topics
    kafka_log.write(topic, [report(i) for i in range(100)], 0)
    kafka_log.write(topic, [report(i) for i in range(50)], 1)
    sink = Sink(settings.kafka())
    until = source_ends(monitor, settings)
    assert until == {(topic, 0): 100, (topic, 1): 50}
    assert run_worker(monitor, settings, [Assessing(monitor, settings, sink, until=until)], sink) == 0
    records = [decode_record(message.value()) for message in kafka_log.read(monitor.assessments_topic, 0)]
    assert [record.offset for record in records[:-1]] == list(range(100))
    assert records[-1] == Tick(topic, 0, 100, END_OF_TIME)


def test_a_worker_runs_on_the_embedded_broker(unique: Callable[[str], str]) -> None:
    monitor = Monitor(name="demo", sources=(Source(topic="reports", partitions=2),))
    settings = Settings(create_topics=False)
    topics = {topic.name: topic.partitions for topic in required_topics(monitor, settings)}
    with EmbeddedBroker(topics) as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, create_topics=False)

        async def fill() -> None:
            sink = Sink(settings.kafka())
            await sink.send("reports", [(None, report(i)) for i in range(500)], 1)
            await sink.close()

        asyncio.run(fill())
        sink = Sink(settings.kafka())
        stage = Assessing(monitor, settings, sink, until=source_ends(monitor, settings))
        assert run_worker(monitor, settings, [stage], sink) == 0
        assert stage.outcomes == {"assessed": 500}


@pytest.mark.parametrize(
    ("protocol", "fields", "kind"),
    [
        ("PLAINTEXT", {}, None),
        ("SSL", {}, "SSL"),
        ("SASL_PLAINTEXT", {"sasl_mechanism": "SCRAM-SHA-256"}, "SASL_PLAINTEXT"),
        ("SASL_SSL", {"sasl_mechanism": "SCRAM-SHA-512"}, "SASL_SSL"),
    ],
)
def test_faust_gets_the_credentials_of_the_settings(protocol: Any, fields: Any, kind: str | None) -> None:
    settings = Settings(security_protocol=protocol, sasl_username="u", sasl_password="p", **fields)
    found = credentials(settings)
    if kind is None:
        assert found is None
    else:
        assert found.protocol.value == kind
    if "SASL" in protocol:
        assert (found.username, found.password, found.mechanism.value) == ("u", "p", fields["sasl_mechanism"])
