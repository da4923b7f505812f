"""`python -m bench.close`: how long a bucket takes to close, and what Redis holds of a pair, as pairs grow in number.

Every drug has a case in every bucket, so every pair's state is read, moved and written: the worst a bucket can ask.
A real Redis, the worker's own closer.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import psutil

from bench.page import commit, machine, write_section
from bench.throughput import today
from streams.alerts.closer import Closer
from streams.detect.progress import SourceState, advance
from streams.detect.time import Timing
from streams.events import MICRO, Assessment, Tick
from streams.monitors import Monitor
from streams.monitors.monitor import AlarmSettings, Source
from streams.state.server import RedisServer
from streams.state.session import StoreSettings
from streams.state.store import Applied, Store

DAY_MS = 86_400_000
BURN_IN = 2  # days; the buckets measured come after a snapshot of the state before
DAYS = (0, 1, 100, 200, 300, 301, 302, 303)
MEASURED = 3


@dataclass(frozen=True)
class Size:
    """A stream: `drugs` x `events` pairs, `cases` a bucket, each with 2 drugs and 3 events."""

    drugs: int
    events: int
    cases: int

    @property
    def pairs(self) -> int:
        """Pairs watched, all of them active."""
        return self.drugs * self.events


@dataclass(frozen=True)
class Figures:
    """Seconds a close takes (median and most of those measured), CPU seconds of worker and Redis (median), bytes
    in Redis a pair, memory of the worker."""

    size: Size
    seconds: float
    most: float
    cpu: float
    bytes_a_pair: float
    rss: int


SIZES = (Size(200, 500, 2000), Size(1000, 1000, 5000))


def cases(size: Size, day: int, first: int) -> Iterator[Assessment]:
    """The cases of a day; every drug has one at least. Drugs and events have nothing to do with each other."""
    draw = random.Random(day)
    for i in range(size.cases):
        drugs = {i % size.drugs, int(size.drugs * draw.random() ** 2)}
        events = {int(size.events * draw.random() ** power) for power in (1, 1, 2)}
        yield Assessment(
            topic="scale",
            partition=0,
            lo=first + i,
            offset=first + i,
            received_at=day * DAY_MS,
            case_id=str(first + i),
            version=1,
            stratum=draw.randrange(5),
            drugs=sorted(f"drug {d:05d}" for d in drugs),
            events=sorted(f"event {e:05d}" for e in events),
            scores=[MICRO] * len(events),
        )


def measured(size: Size) -> Figures:
    """Close the days one after the other; the figures are of the last ones."""
    alarms = AlarmSettings(pairs=size.pairs, false_alarms_per_year=5, buckets_per_year=365, burn_in_days=BURN_IN)
    monitor = Monitor(name="scale", sources=(Source(topic="scale"),), alarms=alarms, disorder_ms=0)
    timing = Timing(monitor.bucket_ms, 0)
    with RedisServer() as server:
        store = Store.connect(server.url, StoreSettings.of(monitor), timeout=60)
        empty = int(store.client.info("memory")["used_memory"])
        closer = Closer(monitor, store, vocabulary="none")
        sources, at, offset = {("scale", 0): SourceState()}, 0, 0
        seconds: list[float] = []
        cpu: list[float] = []
        for day in DAYS:
            found = list(cases(size, day, offset))
            offset += len(found)
            batch = [*found, Tick("scale", 0, offset, (day + 1) * DAY_MS)]
            for start in range(0, len(batch), 1000):
                part = batch[start : start + 1000]
                step = advance(sources, part, timing)
                assert isinstance(store.apply(0, at, at + len(part), step), Applied)
                at += len(part)
                sources.update(step.sources)
            began, busy = time.perf_counter(), _busy(server.pid)
            closed = closer.close_next()
            seconds.append(time.perf_counter() - began)
            cpu.append(_busy(server.pid) - busy)
            assert closed is not None
        info = store.client.info("memory")
        used = int(info["used_memory"]) - empty
        store.close()
    kept = seconds[-MEASURED:]
    rss = psutil.Process().memory_info().rss
    return Figures(size, median(kept), max(kept), median(cpu[-MEASURED:]), used / size.pairs, rss)


def _busy(server: int) -> float:
    """CPU seconds of this process and of the server so far."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in (None, server))


def main() -> None:
    """Write the section of docs/results/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="only the smaller size; writes nothing")
    small = parser.parse_args().small
    head = (
        "| pairs | drugs x events | cases in the bucket | close, median | most | CPU, worker and Redis "
        "| Redis, bytes a pair | worker RSS |\n"
    )
    rows = [head, "|---|---|---|---|---|---|---|---|\n"]
    for size in SIZES[: 1 if small else None]:
        f = measured(size)
        rows.append(
            f"| {size.pairs:,} | {size.drugs:,} x {size.events:,} | {size.cases:,} | {f.seconds:.2f} s "
            f"| {f.most:.2f} s | {f.cpu:.2f} s | {f.bytes_a_pair:,.0f} | {f.rss / 2**20:,.0f} MiB |\n"
        )
        print(rows[-1], end="")
    if small:
        return
    text = (
        "Every pair is active and every drug has a case in each bucket, so that each pair's state is read, moved and "
        "written: the most a bucket can ask. The closer of the worker with its state in memory, a real Redis; what is "
        f"timed is one close with all its round trips, the last {MEASURED} of {len(DAYS)}. Redis holds everything: "
        "states with four snapshots, totals, cases, evidence.\n\n"
        f"{today()}, commit {commit()}, {machine()}.\n\n{''.join(rows)}"
    )
    write_section("scale.md", "python -m bench.close", "## Closing a bucket", text)


if __name__ == "__main__":
    main()
