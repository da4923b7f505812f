"""A monitor of its own on the real Kafka and Redis, with workers and commands as processes: as an operator has them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streams.events import AdverseEvent, Patient, Product, encode
from streams.intake.loader import Outgoing, load
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings, load_settings
from streams.state.session import StoreSettings
from streams.state.store import Store
from streams.transport import ensure_topics, required_topics

DAY_MS = 86_400_000
FIRST_DAY = 18_000  # 2019-04-14
SECONDS = 120.0

MONITOR = """
name = "{name}"
evidence = "coded"

[[sources]]
topic = "{name}-reports"
partitions = {partitions}

[alarms]
pairs = 5000
buckets_per_year = 365
burn_in_days = 20
"""


def run_cli(kafka: str, *args: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """A command to its end, on `kafka` and with a Redis of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("VIGILIA_REDIS")}
    command = [sys.executable, "-m", "streams", *args]
    env |= {"VIGILIA_BOOTSTRAP_SERVERS": kafka}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass
class Lab:
    """One monitor, its file, its settings, and a folder for logs."""

    monitor: Monitor
    file: Path
    settings: Settings

    @property
    def env(self) -> dict[str, str]:
        assert self.settings.redis_url is not None
        return {
            **os.environ,
            "VIGILIA_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "VIGILIA_REDIS_URL": self.settings.redis_url.get_secret_value(),
            "VIGILIA_ALERTS_TOPIC": self.settings.alerts_topic,
            "VIGILIA_CUTOVER_TOPIC": self.settings.cutover_topic,
        }

    @property
    def topic(self) -> str:
        return self.monitor.topics[0]

    def cli(self, *args: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        command = [sys.executable, "-m", "streams", *args]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=timeout, check=False)

    @contextmanager
    def worker(self, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process. It is killed at the end if it still runs."""
        command = [sys.executable, "-m", "streams", "run", "--monitor", str(self.file), *args]
        with (self.file.parent / f"worker-{time.monotonic_ns()}.log").open("wb") as log:
            process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                process.wait()

    def logs(self) -> str:
        """What the workers wrote, for the message of a failed test."""
        return "\n".join(path.read_text() for path in sorted(self.file.parent.glob("worker-*.log")))[-6000:]

    def load(self, messages: Iterable[Outgoing]) -> int:
        """Send messages; how many."""
        summary = load(messages, None, self.settings)
        assert summary.complete
        return summary.delivered

    @contextmanager
    def store(self) -> Iterator[Store]:
        assert self.settings.redis_url is not None
        store = Store.connect(self.settings.redis_url.get_secret_value(), StoreSettings.of(self.monitor))
        try:
            yield store
        finally:
            store.close()

    def applied(self) -> int:
        """Source messages whose outcome is in Redis."""
        with self.store() as store:
            return sum(state.next for state in store.positions().sources.values())

    def wait_until(self, what: Callable[[], bool], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not within {seconds} s\n{self.logs()}"
            time.sleep(0.05)

    def drain(self) -> None:
        """A worker that applies what is there and ends by itself, with status 0."""
        with self.worker("--drain") as process:
            assert process.wait(SECONDS) == 0, self.logs()

    def audit(self) -> dict[str, object]:
        """What `vigilia audit --json` says; it must find no difference."""
        result = self.cli("audit", "--monitor", str(self.file), "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        found: dict[str, object] = json.loads(result.stdout)
        return found

    def end_state(self) -> tuple[dict[str, int], list[bytes]]:
        """Counters and history, as the log alone determines them."""
        with self.store() as store:
            counters = {k: v for k, v in store.counters().items() if k not in ("repeated", "tick_void")}
            return counters, [record for _, records in store.history() for record in records]


def make_lab(folder: Path, name: str, kafka: str, redis_url: str, *, partitions: int = 3, text: str = MONITOR) -> Lab:
    """A lab with its topics."""
    file = folder / f"{name}.toml"
    file.write_text(text.format(name=name, partitions=partitions))
    settings = load_settings(
        bootstrap_servers=kafka, redis_url=redis_url, alerts_topic=f"{name}-alerts", cutover_topic=f"{name}-cutovers"
    )
    lab = Lab(load_monitor(file), file, settings)
    ensure_topics(settings, required_topics(lab.monitor, settings))
    return lab


def make_successor(lab: Lab, name: str, text: str = MONITOR) -> Lab:
    """A lab of another monitor on the same source topics, with the same alerts and cutover topics. Makes no topics."""
    file = lab.file.parent / f"{name}.toml"
    text = text.replace("{name}-reports", lab.topic)
    file.write_text(text.format(name=name, partitions=lab.monitor.assessments_partitions))
    return Lab(load_monitor(file), file, lab.settings)


def reports(number: int, topic: str, *, seed: int = 1, days: int = 60) -> Iterator[Outgoing]:
    """Coded reports in order of days: duplicates and follow-ups among them, and one pair that is planted half-way."""
    chance = random.Random(seed)
    drugs = [f"drug{i}" for i in range(12)]
    events = [f"event{i}" for i in range(30)]
    last: AdverseEvent | None = None
    for n in range(number):
        day = FIRST_DAY + n * days // number
        fate = chance.random()
        if last is not None and fate < 0.02:
            report = msgspec.structs.replace(last, version=last.version + 1)
        elif last is not None and fate < 0.04:
            report = msgspec.structs.replace(last, case_id=f"case-{n}")
        else:
            planted = n > number // 2 and chance.random() < 0.01
            chosen = {chance.choice(events) for _ in range(chance.randint(1, 3))} | (
                {"hepatitis"} if planted else set()
            )
            report = AdverseEvent(
                case_id=f"case-{n}",
                products=[Product("planted" if planted else chance.choice(drugs))],
                events=sorted(chosen),
                received_at=day * DAY_MS + chance.randrange(DAY_MS),
                patient=Patient(age_years=float(chance.randint(0, 90)), sex=chance.choice("FM"), region=f"r{n % 50}"),
                narrative=f"Report number {n} of a made-up patient who felt unwell after taking the product.",
            )
        last = report
        yield Outgoing(topic, report.case_id.encode(), encode(report))
