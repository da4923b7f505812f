"""The embedded broker: librdkafka's mock broker in a process of its own. For the demo and for trying things out.

It keeps 5 MiB or 100,000 batches of a partition, nothing on disk, and has no compaction, transactions, TLS or admin
calls; two workers of one group race on it. Topics are declared when it starts, and later through `create`: a client
that asks for an unknown topic gets one with four partitions.

    with EmbeddedBroker({"adverse-events": 2}) as broker:
        Settings(bootstrap_servers=broker.bootstrap_servers, create_topics=False)

The process ends with its parent (it reads the parent's end of a pipe).
"""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import confluent_kafka

from streams.errors import BrokerUnavailable, ConfigurationError

__all__ = ["EmbeddedBroker"]

PRODUCER_TYPE = 0  # RD_KAFKA_PRODUCER of rdkafka.h
ERROR_SPACE = 512
REBALANCE_DELAY_MS = 100  # 3 s by default: a new group would wait for members that never come


class EmbeddedBroker:
    """Starts the process and declares topics in it. A context manager."""

    def __init__(self, topics: Mapping[str, int] | None = None) -> None:
        self._topics = dict(topics or {})
        self._process: subprocess.Popen[str] | None = None
        self._address = ""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: host:port."""
        return self._address

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> EmbeddedBroker:
        """Start it and declare the topics. Raises BrokerUnavailable."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.transport.embedded"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl+C is for the worker, which still needs a broker while it stops
        )
        self._address = self._answer()
        for name, partitions in self._topics.items():
            self.create(name, partitions)
        return self

    def create(self, topic: str, partitions: int) -> None:
        """Declare a topic. Raises ConfigurationError if it exists or the name is not one."""
        assert self._process is not None
        assert self._process.stdin is not None
        if not topic or any(c.isspace() for c in topic):
            raise ConfigurationError(f"embedded broker: {topic!r} is no name for a topic")
        try:
            self._process.stdin.write(f"{topic} {partitions}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise BrokerUnavailable(f"embedded broker: {error}") from None
        answer = self._answer()
        if answer != "created":
            raise ConfigurationError(f"embedded broker: topic {topic} with {partitions} partitions: {answer}")

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise BrokerUnavailable(f"embedded broker: its process ended with status {self._process.wait()}")
        return line

    def stop(self) -> None:
        """End the process; what it kept is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # a line may be left that nobody reads
                    if pipe is not None:
                        pipe.close()
            self._process = None

    def __enter__(self) -> EmbeddedBroker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


# ---------------------------------------------------------------- the process


def _librdkafka() -> ctypes.CDLL:
    """The library that confluent-kafka has loaded: its mock broker is in rdkafka_mock.h, not in the Python module."""
    package = Path(confluent_kafka.__file__).parent
    for folder in (package.parent / "confluent_kafka.libs", package / ".dylibs"):
        for path in sorted(folder.glob("librdkafka*")):
            return _declared(ctypes.CDLL(str(path)))
    raise ConfigurationError(f"no librdkafka beside {package}: the embedded broker needs confluent-kafka's own wheel")


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.rd_kafka_conf_new.restype = pointer
    library.rd_kafka_conf_set.argtypes = [pointer, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    library.rd_kafka_new.restype = pointer
    library.rd_kafka_new.argtypes = [number, pointer, ctypes.c_char_p, ctypes.c_size_t]
    library.rd_kafka_mock_cluster_new.restype = pointer
    library.rd_kafka_mock_cluster_new.argtypes = [pointer, number]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    library.rd_kafka_mock_topic_create.argtypes = [pointer, ctypes.c_char_p, number, number]
    library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [pointer, ctypes.c_int32]
    library.rd_kafka_err2name.restype = ctypes.c_char_p
    library.rd_kafka_err2name.argtypes = [number]
    return library


def _serve() -> int:
    """Say the address, then create the topics that come line by line on stdin, until the parent is gone."""
    library = _librdkafka()
    problem = ctypes.create_string_buffer(ERROR_SPACE)
    settings = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(settings, b"log_level", b"3", problem, ERROR_SPACE)  # it warns of having no broker
    client = library.rd_kafka_new(PRODUCER_TYPE, settings, problem, ERROR_SPACE)
    if not client:
        sys.stderr.write(f"embedded broker: {problem.value.decode()}\n")
        return 1
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, REBALANCE_DELAY_MS)
    _say(library.rd_kafka_mock_cluster_bootstraps(cluster).decode())
    for line in sys.stdin:
        name, partitions = line.split()
        status = library.rd_kafka_mock_topic_create(cluster, name.encode(), int(partitions), 1)
        _say("created" if status == 0 else library.rd_kafka_err2name(status).decode())
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(_serve())
