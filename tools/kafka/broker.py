"""The broker's process: its configuration, its formatted data folder, its start."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tools.kafka.files import CACHE, class_archive, fingerprint, jars, java, shared_classes
from tools.processes import ServerProcess

CLUSTER_ID = "dmlnaWxpYS10ZXN0LTAwMQ"

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A killed broker is back in 5-7 s instead of 11-12 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # What a replayed year needs: records keep the time they were received, however long ago.
    "log.message.timestamp.before.max.ms": "9223372036854775807",
    "log.message.timestamp.after.max.ms": "86400000",
    "log.segment.delete.delay.ms": "1000",
    "log.cleaner.backoff.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "16777216",
}
JVM = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xms64m",
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class Broker(ServerProcess):
    """A broker in a process of its own, with its data in a temporary folder. A context manager.

    `properties` are added to the server's own, `jvm_options` to the JVM's.
    """

    name = "Kafka"
    mark = b"kafka.Kafka"
    cache = CACHE

    def __init__(
        self,
        port: int = 0,
        properties: dict[str, str] | None = None,
        jvm_options: Sequence[str] = (),
        outlive_parent: bool = False,
    ) -> None:
        super().__init__(port, 1, outlive_parent)
        (self._controller,) = self._more_ports
        self._properties = {**PROPERTIES, **(properties or {})}
        self._jvm_options = jvm_options

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: host:port."""
        return self.address

    def start(self) -> Self:
        """Start and wait until it listens.

        Raises Missing, or RuntimeError with the end of the server's log.
        """
        runtime, classes = java(), jars()
        if self._make_folder():
            self._configure()
            self._format(runtime, classes)
        options = [*JVM, *(self._jvm_options or shared_classes(runtime, classes))]
        self._spawn([runtime, *options, "-cp", f"{classes}/*", "kafka.Kafka", str(self._config)])
        self.await_ready()
        return self

    @property
    def _config(self) -> Path:
        return self.folder / "server.properties"

    def _configure(self) -> None:
        listeners = f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}"
        lines = {
            **self._properties,
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "log.dirs": str(self.folder / "data"),
        }
        self._config.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), "utf-8")

    def _format(self, runtime: str, classes: Path) -> None:
        """Format the data folder, or copy one formatted before: it holds no port and no path."""
        formatted = CACHE / f"formatted-{fingerprint(runtime, classes)}"
        if not formatted.exists():
            command = [runtime, *JVM, "-cp", f"{classes}/*", "kafka.tools.StorageTool"]
            command += ["format", "-t", CLUSTER_ID, "-c", str(self._config)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise RuntimeError(f"Kafka could not format its folder: {(result.stdout + result.stderr)[-1000:]}")
            CACHE.mkdir(parents=True, exist_ok=True)
            copy = Path(tempfile.mkdtemp(prefix="formatted-", dir=CACHE))
            shutil.copytree(self.folder / "data", copy, dirs_exist_ok=True)
            try:
                copy.rename(formatted)
            except OSError:  # another process was first
                shutil.rmtree(copy)
        else:
            shutil.copytree(formatted, self.folder / "data")

    def is_ready(self) -> bool:
        """Whether it listens."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
        except OSError:
            return False
        return True


def make_archive() -> Path:
    """Make the class archive (46 MB): start a broker, stop it in good order, keep what it loaded."""
    archive = class_archive(java(), jars())
    if archive.exists():
        return archive
    part = CACHE / f"classes-{os.getpid()}.part"
    CACHE.mkdir(parents=True, exist_ok=True)
    with Broker(jvm_options=[f"-XX:ArchiveClassesAtExit={part}"]) as broker:
        broker.stop(60)
    part.rename(archive)
    return archive
