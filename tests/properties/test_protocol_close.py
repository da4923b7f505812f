"""Random schedules over the real close: alarm rule, evidence, alert records, provisional alerts.

The statistics have their own tests. Here the same log is closed twice: once under a schedule of crashes, zombies and
Redis set back, with something happening before any round trip; once in order by a single undisturbed worker. Both must
say the same, byte for byte.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import redis
from protocol_oracle import DISORDER, WIDTH, Said
from protocol_world import PARTITIONS, TOPICS, Detecting, Parts, World

import streams.state.parts
from streams.alerts.closer import Closer
from streams.alerts.provisional import Provisional
from streams.detect.progress import advance
from streams.detect.time import Timing
from streams.events import MICRO, Assessment, decode_alert
from streams.monitors import AlarmSettings, Monitor
from streams.monitors import Source as MonitorSource
from streams.state.server import RedisServer
from streams.state.session import StoreSettings
from streams.state.store import Applied, Store

DAY = 86_400_000
SCHEDULES, BATCHES = 60, 4
# Fires easily: a pair that stands out alarms at its fourth case.
MONITOR = Monitor(
    name="protocol",
    sources=tuple(MonitorSource(topic=topic, partitions=len(PARTITIONS)) for topic in TOPICS),
    disorder_ms=DISORDER * DAY // WIDTH,
    duplicate_horizon_days=3,
    alarms=AlarmSettings(pairs=100, false_alarms_per_year=1e9, burn_in_days=0, window_days=6, exclude_own=True),
)


class Interrupted(Store):
    """A store whose worker may be kept waiting before any round trip while others go on."""

    world: RealWorld
    worker: int

    def run(self, name: str, keys: Sequence[str], *args: bytes | str | int) -> Any:
        self.world.interrupt(self.worker)
        return super().run(name, keys, *args)


class RealWorld(World):
    """The world with the product's own closer in every detect worker."""

    timing = Timing(MONITOR.bucket_ms, MONITOR.disorder_ms)
    unit = DAY // WIDTH

    def __init__(self, seed: int, client: redis.Redis, *, nervous: bool) -> None:
        self.interrupted = True  # nothing yet may interrupt
        super().__init__(seed, Store(client, StoreSettings.of(MONITOR)), Parts(), nervous=nervous)
        self.closers: dict[int, tuple[Detecting, Closer, Provisional]] = {}
        self.interrupted = False

    def make_plan(self, r: random.Random) -> dict[Any, list[Said]]:
        while True:
            plan = super().make_plan(r)
            if sum(map(len, plan.values())) > 30:
                return plan

    def assessment(self, ticket: Any, m: Said) -> Assessment:
        if m.pair == "X" and m.version == 1:
            drug, event = "X", "x"
        else:
            drug, event = f"B{m.offset % 4}", f"b{(m.offset * 7 + m.time) % 5}"
        case, prints = f"{m.case}{m.offset // 4}", [m.print] if m.print and m.offset % 3 == 0 else []
        return Assessment(
            m.topic, m.partition, ticket.lo, m.offset, m.time * self.unit, case, m.version, m.time % 2, [drug], [event],
            [MICRO], None, prints,
        )  # fmt: skip

    def closer(self, d: Detecting) -> tuple[Closer, Provisional]:
        w = self.detect.index(d)
        if w not in self.closers or self.closers[w][0] is not d:
            store = Interrupted(self.store.client, self.store.settings)
            store.world, store.worker = self, w
            closer = Closer(MONITOR, store, vocabulary="test")
            self.closers[w] = (d, closer, Provisional(closer))
        return self.closers[w][1:]

    def close(self, d: Detecting) -> Iterator[str]:
        closer, _ = self.closer(d)
        yield "closes"
        closer.close_next()
        self.look()

    def look_at_open(self, d: Detecting) -> int:
        return len(self.closer(d)[1].look())

    def interrupt(self, worker: int) -> None:
        """Something happens while `worker` waits for Redis."""
        if self.interrupted or self.random.random() > 0.25:
            return
        self.interrupted = True
        try:
            steps = {
                name: step for name, step in self.steps().items()
                if not name.startswith(f"detect{worker} ") and "end tick" not in name
            }  # fmt: skip
            redis_ = sorted(name for name in steps if name.startswith("!redis"))
            if steps:
                self.do(self.random.choice(redis_ if redis_ and self.random.random() < 0.3 else sorted(steps)), steps)
        finally:
            self.interrupted = False

    def check(self) -> list[str]:
        """Compare with an undisturbed run over the same assessments."""
        self.interrupted = True
        found = said(self.store)
        view = {key: decode_alert(value) for key, value in self.alerts}
        published = {key: alert for key, alert in view.items() if alert.state != "withdrawn"}
        bad = list(self.bad)
        self.store.client.flushall()
        sequential(self.store, self.assessments)
        expected = said(self.store)
        bad += [f"{k} is {found[k]}, undisturbed it is {expected[k]}" for k in found if found[k] != expected[k]]
        raised = {key: decode_alert(record) for key, record in expected["raised"].items()}
        if published != raised:
            bad.append(f"the alerts topic ends with {published}, undisturbed Redis has {raised}")
        return bad


def said(store: Store) -> dict[str, Any]:
    """What Redis says of the whole log."""
    base = store.base()
    terms = store.terms(base.closed)
    assert terms is not None
    return {
        "base": base, "terms": terms, "counters": store.counters(), "history": list(store.history()),
        "aggregates": store.aggregates(base.closed), "states": store.drug_states(base.closed, terms[0]),
        "raised": store.raised_alerts(base.closed), "open": store.open_buckets(),
    }  # fmt: skip


def sequential(store: Store, log: Mapping[int, list[Any]]) -> None:
    """Apply and close as one worker does to which nothing happens."""
    closer = Closer(MONITOR, store, vocabulary="test")
    for partition, records in log.items():
        step = advance(store.positions().sources, records, RealWorld.timing)
        assert isinstance(store.apply(partition, 0, len(records), step), Applied)
    while closer.close_next() is not None:
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with RedisServer() as server:
        yield redis.Redis.from_url(server.url, protocol=2)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_disturbed_run_says_what_an_undisturbed_one_says(
    client: redis.Redis, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.state.parts, "CHUNK_WRITES", 2)
    closes = alerts = 0
    for seed in range(batch, SCHEDULES, BATCHES):
        client.flushall()
        world = RealWorld(seed, client, nervous=seed % 2 == 1)
        wrong = world.run()
        assert not wrong, "\n".join([f"seed {seed}:", *wrong, f"steps: {world.trace}"])
        closes += world.store.base().ordinal
        alerts += len(world.alerts)
    assert closes > 0
    assert alerts > 0, "nothing was raised: the schedules prove nothing"
