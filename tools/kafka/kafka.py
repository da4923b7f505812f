"""One Apache Kafka broker (KRaft, one node) on this machine, for tests and benchmarks. Never for production.

    python tools/kafka/kafka.py run [--port 9092]      until Ctrl+C
    python tools/kafka/kafka.py start [--port 9092]    in the background; prints the address
    python tools/kafka/kafka.py stop

The jars come from `VIGILIA_KAFKA_JARS` (a folder), else from Maven Central into `.cache/kafka/jars` (44 MB, once).
Needs Java 17 or newer. Without a port a free one is taken. Data lie in a temporary folder and go with the broker.

In Python: `with Broker() as broker: broker.bootstrap_servers`. Where Java, Maven or the jars can't be had, `Missing`
says what is missing. Plain standard library, so that it can be run by any Python 3.11.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "kafka"
CLUSTER_ID = "dmlnaWxpYS10ZXN0LTAwMQ"
READY_SECONDS = 60

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


class Missing(Exception):
    """Java, Maven or the jars can't be had; the message says which and why."""


def java() -> str:
    """Path of the java command. Raises Missing."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise Missing(
            "no java on the path: a JRE 17 or newer is needed (Debian: apt-get install openjdk-17-jre-headless)"
        )
    return found


def jars() -> Path:
    """Folder with Kafka's jars, fetched once when it is not there. Raises Missing."""
    given = os.environ.get("VIGILIA_KAFKA_JARS")
    if given:
        if not list(Path(given).glob("kafka_*.jar")):
            raise Missing(f"VIGILIA_KAFKA_JARS={given}: no kafka_*.jar in there")
        return Path(given)
    folder = CACHE / "jars"
    if list(folder.glob("kafka_*.jar")):
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(
            "no Kafka jars: set VIGILIA_KAFKA_JARS to a folder of them, or install Maven (apt-get install maven)"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    # Into a folder of our own, then renamed: a second process never sees half of them.
    fetched = Path(tempfile.mkdtemp(prefix="jars-", dir=CACHE))
    command = [maven, "-B", "-q", "-f", str(HERE / "pom.xml"), f"-Djars={fetched}", "dependency:copy-dependencies"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        shutil.rmtree(fetched)
        raise Missing(f"Maven could not fetch Kafka: {(result.stdout + result.stderr).strip()[-500:]}")
    try:
        fetched.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(fetched)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends, so that a killed test run leaves no JVM behind."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Broker:
    """A broker in a process of its own, with its data in a temporary folder. A context manager.

    `stop()` and `kill()` keep data and ports, so `start()` brings the same broker back; `close()` deletes the data.
    On Linux the kernel ends it when the *thread* that started it ends. `properties` are added to the server's own,
    `jvm_options` to the JVM's.
    """

    def __init__(
        self,
        port: int = 0,
        properties: dict[str, str] | None = None,
        jvm_options: Sequence[str] = (),
        outlive_parent: bool = False,
    ) -> None:
        self.port, self._controller = free_ports(2)
        self.port = port or self.port
        self._properties = {**PROPERTIES, **(properties or {})}
        self._jvm_options = jvm_options
        self._outlive_parent = outlive_parent
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the JVM."""
        assert self._process is not None
        return self._process.pid

    @property
    def folder(self) -> Path:
        """Where data and log lie."""
        assert self._folder is not None
        return self._folder

    def start(self) -> Broker:
        """Start and wait until it listens.

        Raises Missing, or RuntimeError with the end of the server's log.
        """
        runtime, classes = java(), jars()
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vigilia-kafka-"))
            config = self._configure()
            self._format(runtime, classes, config)
        config = self._folder / "server.properties"
        options = [*JVM, *(self._jvm_options or _shared_classes(runtime, classes))]
        command = [runtime, *options, "-cp", f"{classes}/*", "kafka.Kafka", str(config)]
        if not self._outlive_parent:
            command = [sys.executable, str(Path(__file__)), "exec", *command]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self._await_ready()
        return self

    def _configure(self) -> Path:
        path = self.folder / "server.properties"
        listeners = f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}"
        lines = {
            **self._properties,
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "log.dirs": str(self.folder / "data"),
        }
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), "utf-8")
        return path

    def _format(self, runtime: str, classes: Path, config: Path) -> None:
        """Format the data folder, or copy one formatted before: it holds no port and no path."""
        formatted = CACHE / f"formatted-{_fingerprint(runtime, classes)}"
        if not formatted.exists():
            command = [runtime, *JVM, "-cp", f"{classes}/*", "kafka.tools.StorageTool"]
            command += ["format", "-t", CLUSTER_ID, "-c", str(config)]
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

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"Kafka ended with status {self._process.returncode}: {self._log_end()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.kill()
        raise RuntimeError(f"Kafka did not listen on port {self.port} within {READY_SECONDS} s: {self._log_end()}")

    def _log_end(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")[-1500:]

    def stop(self, seconds: float = 15) -> None:
        """End it in good order; kill it after `seconds`."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: it stays connected and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop and delete the data. The data are worth nothing, so the process is killed."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fingerprint(runtime: str, classes: Path) -> str:
    names = " ".join(sorted(path.name for path in classes.glob("*.jar")))
    return hashlib.sha256(f"{Path(runtime).resolve()} {classes} {names}".encode()).hexdigest()[:12]


def _shared_classes(runtime: str, classes: Path) -> list[str]:
    """JVM option for a class archive if one was made (`kafka.py archive`): it halves the start."""
    archive = CACHE / f"classes-{_fingerprint(runtime, classes)}.jsa"
    return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:disable"] if archive.exists() else []


def make_archive() -> Path:
    """Make the class archive (46 MB): start a broker, stop it in good order, keep what it loaded."""
    runtime, classes = java(), jars()
    archive = CACHE / f"classes-{_fingerprint(runtime, classes)}.jsa"
    if archive.exists():
        return archive
    part = CACHE / f"classes-{os.getpid()}.part"
    CACHE.mkdir(parents=True, exist_ok=True)
    with Broker(jvm_options=[f"-XX:ArchiveClassesAtExit={part}"]) as broker:
        broker.stop(60)
    part.rename(archive)
    return archive


# ---------------------------------------------------------------- command line

STATE = CACHE / "running.json"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(port: int) -> int:
    with Broker(port) as broker:
        _say(broker.bootstrap_servers)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


def _start(port: int) -> int:
    if STATE.exists():
        known = json.loads(STATE.read_text("utf-8"))
        if _is_ours(known["pid"]):
            _say(known["bootstrap_servers"])
            return 0
    broker = Broker(port, outlive_parent=True).start()
    known = {"pid": broker.pid, "bootstrap_servers": broker.bootstrap_servers, "folder": str(broker.folder)}
    STATE.write_text(json.dumps(known), "utf-8")
    _say(broker.bootstrap_servers)
    return 0


def _stop() -> int:
    if not STATE.exists():
        return 0
    known = json.loads(STATE.read_text("utf-8"))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(100):
            if not _is_ours(known["pid"]):
                break
            os.kill(known["pid"], number)
            time.sleep(0.1)
    shutil.rmtree(known["folder"], ignore_errors=True)
    STATE.unlink()
    return 0


def _is_ours(pid: int) -> bool:
    """Whether a process id still is a Kafka broker: ids are used again."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"kafka.Kafka" in words


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status."""
    if arguments[:1] == ["exec"]:
        _die_with_parent()
        os.execv(arguments[1], arguments[1:])  # noqa: S606
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "start", "stop", "fetch", "archive"])
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if options.command == "run":
            return _run(options.port)
        if options.command == "start":
            return _start(options.port)
        if options.command == "stop":
            return _stop()
        _say(str(jars() if options.command == "fetch" else make_archive()))
    except (Missing, RuntimeError) as error:
        sys.stderr.write(f"kafka.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
