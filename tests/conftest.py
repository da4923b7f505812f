"""What tests share: the data folder, a real Kafka, a real Redis, names nobody else uses.

Kafka: `VIGILIA_TEST_KAFKA` (host:port) if it is set, else one broker for the session from `tools.kafka`.
Triton: one server for the session from `tools.triton`, whose environment comes from PyPI once, or from the folder that
`VIGILIA_TEST_TRITON` names.
Where one can't be had, a test is skipped with the reason; under CI=true it fails instead.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import tools.triton
from tools.kafka import Broker, Missing

if TYPE_CHECKING:
    from streams.state.server import RedisServer

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_configure() -> None:
    """A shell that runs the suite in the background has SIGINT ignored, and every process of a test would inherit that:
    Ctrl+C could not be tested."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def unavailable(reason: str) -> None:
    """Skip the test, but fail under CI: there a missing part is a fault, not a circumstance."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no {SHARED_DATA}: real data are not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """host:port of a real Kafka broker, one for the session. Take topic names from `unique`."""
    given = os.environ.get("VIGILIA_TEST_KAFKA")
    if given:
        yield given
        return
    broker = Broker()
    try:
        broker.start()
    except Missing as error:
        unavailable(f"no Kafka: {error}")
    yield broker.bootstrap_servers
    broker.close()


@pytest.fixture(scope="session")
def triton_tool() -> ModuleType:
    """The package tools.triton, for tests that need a server of their own: `triton_tool.Server(models)`."""
    try:
        tools.triton.environment()
    except Missing as error:
        unavailable(f"no Triton: {error}")
    return tools.triton


@pytest.fixture(scope="session")
def _triton(triton_tool: ModuleType) -> Iterator[Any]:
    server = triton_tool.Server().start()
    yield server
    server.close()


@pytest.fixture
def triton_server(_triton: Any) -> Any:
    """A real tritonserver with the shipped model on CPU, one for the session: `triton_server.grpc` is its address.

    A test may `kill()`, `start()`, `pause()`, `resume()` it or `kill_backend()`: the next test gets a whole one.
    """
    if not _triton.whole:
        _triton.restart()
    return _triton


class KafkaLog:
    """Topics of a broker as a test sees them: create, write, read whole partitions, delete their beginning."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.config = {"bootstrap.servers": bootstrap_servers}
        self.admin = AdminClient(self.config)
        self.producer = Producer({**self.config, "linger.ms": 5, "enable.idempotence": True})

    def create(self, topic: str, partitions: int = 1, **config: str) -> str:
        settings = {name.replace("_", "."): value for name, value in config.items()}
        for future in self.admin.create_topics([NewTopic(topic, partitions, 1, config=settings)]).values():
            future.result()
        return topic

    def write(
        self, topic: str, values: Iterable[bytes | None], partition: int = 0, headers: object = None, timestamp: int = 0
    ) -> None:
        for value in values:
            while True:
                try:
                    self.producer.produce(topic, value, partition=partition, headers=headers, timestamp=timestamp)
                except BufferError:
                    self.producer.poll(0.1)
                else:
                    break
        assert self.producer.flush(30) == 0

    def read(self, topic: str, partition: int = 0) -> list[Message]:
        """Every message of the partition, from its beginning to its present end."""
        consumer = Consumer({**self.config, "group.id": "test-read", "enable.partition.eof": True})
        try:
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            found: list[Message] = []
            while True:
                for message in consumer.consume(10_000, 0.05):
                    if message.error() is None:
                        found.append(message)
                    elif message.error().name() == "_PARTITION_EOF":
                        return found
                    else:
                        raise AssertionError(message.error())
        finally:
            consumer.close()

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        for future in self.admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            future.result()

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        consumer = Consumer({**self.config, "group.id": group})
        try:
            return int(consumer.committed([TopicPartition(topic, partition)], 10)[0].offset)
        finally:
            consumer.close()


@pytest.fixture(scope="session")
def kafka_log(kafka: str) -> KafkaLog:
    """Create, write and read topics of the session's broker."""
    return KafkaLog(kafka)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The embedded Redis, one for the session. Take monitor names from `unique`, or flush it yourself."""
    from streams.state.server import RedisServer

    with RedisServer() as server:
        yield server


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """`unique("orders")` gives a name for a topic, group or monitor that no other test, worker or run uses."""
    counter = itertools.count()

    def name(stem: str) -> str:
        return f"{stem}-{os.getpid()}-{os.urandom(3).hex()}-{next(counter)}"

    return name
