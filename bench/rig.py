"""What the benchmarks run on: one real Kafka, one Redis, workers in processes of their own, watched from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from streams.state.server import RedisServer
from tests.lab import Lab, make_lab
from tools.kafka import Broker

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 240.0


@dataclass(frozen=True)
class Rig:
    """Addresses of the services."""

    kafka: str
    redis_url: str
    folder: Path

    def lab(self, name: str, text: str, *, partitions: int = 2) -> Lab:
        """A monitor of its own."""
        return make_lab(
            self.folder,
            f"{name}-{time.time_ns() % 10**9}",
            self.kafka,
            self.redis_url,
            partitions=partitions,
            text=text,
        )


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """Start the services; they end with the block."""
    with ExitStack() as stack:
        broker = stack.enter_context(Broker())
        redis = stack.enter_context(RedisServer())
        yield Rig(broker.bootstrap_servers, redis.url, folder)


@dataclass(frozen=True)
class Sample:
    """A worker at a moment: seconds, messages applied, its CPU seconds so far."""

    at: float
    applied: int
    cpu: float


class Watched:
    """A worker process, sampled until everything is applied."""

    def __init__(self, lab: Lab, pid: int) -> None:
        self._lab = lab
        self._process = psutil.Process(pid)
        self.samples: list[Sample] = []
        self.peak_rss = 0

    def until(self, messages: int) -> None:
        """Sample until `messages` are applied."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._lab.store() as store:
            while True:
                applied = sum(state.next for state in store.positions().sources.values())
                times = self._process.cpu_times()
                self.samples.append(Sample(time.monotonic(), applied, times.user + times.system))
                self.peak_rss = max(self.peak_rss, self._process.memory_info().rss)
                if applied >= messages:
                    return
                if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
                    raise SystemExit(f"the worker ended at {applied} of {messages} messages\n{self._lab.logs()}")
                if time.monotonic() > deadline:
                    raise SystemExit(f"the worker applied {applied} of {messages} messages\n{self._lab.logs()}")
                time.sleep(0.05)

    def between(self, first: int, last: int) -> tuple[Sample, Sample]:
        """The first samples with so many messages applied. What comes before `first` is start-up."""
        begin, end = (next(s for s in self.samples if s.applied >= applied) for applied in (first, last))
        return begin, end
