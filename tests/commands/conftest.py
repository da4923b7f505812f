"""A small monitor on a real Kafka and a real Redis, and the command line in this process."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import structlog
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.alerts.closer import Closer
from streams.cli import main
from streams.commands.options import store_settings
from streams.detect.progress import advance
from streams.detect.time import Timing
from streams.events import END_OF_TIME, Assessment, AssessmentRecord, DeadLetter, Gap, Tick, encode
from streams.monitors import Monitor, load_monitor
from streams.settings import load_settings
from streams.state.store import Applied, Store
from streams.transport.topics import ensure_topics, required_topics

if TYPE_CHECKING:
    from streams.state.server import RedisServer

DAY = 86_400_000
START = 10_000  # the bucket of the first day
PLANTED = ("Plantedin", "Planted reaction")
MONITOR = """
name = "{name}"
evidence = "coded"
disorder_ms = 86400000

[[sources]]
topic = "{stem}-reports"
partitions = 2

[[sources]]
topic = "{stem}-notes"
partitions = 1

[alarms]
pairs = 50
buckets_per_year = 50
false_alarms_per_year = 20
burn_in_days = 5
"""


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def vigilia(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Result]]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*args: str | Path) -> Result:
        capfd.readouterr()
        status = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return Result(status, out, err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


class World:
    """One monitor with its topics. Nothing runs by itself: `assess` and `detect` are called."""

    def __init__(self, folder: Path, name: str, kafka: str, redis_url: str, stem: str | None = None) -> None:
        stem = stem or name
        self.path = folder / ("monitor.toml" if stem == name else f"{name}.toml")
        self.path.write_text(MONITOR.format(name=name, stem=stem), "utf-8")
        self.monitor: Monitor = load_monitor(self.path)
        self.reports, self.notes = f"{stem}-reports", f"{stem}-notes"
        topics = {"alerts_topic": f"{name}-alerts", "reviews_topic": f"{name}-reviews"}
        self.settings = load_settings(bootstrap_servers=kafka, redis_url=redis_url, **topics)
        self.environment = {
            "VIGILIA_BOOTSTRAP_SERVERS": kafka,
            "VIGILIA_REDIS_URL": redis_url,
            "VIGILIA_ALERTS_TOPIC": self.settings.alerts_topic,
            "VIGILIA_REVIEWS_TOPIC": self.settings.reviews_topic,
            "VIGILIA_LOG_LEVEL": "warning",
        }
        ensure_topics(self.settings, required_topics(self.monitor, self.settings))
        self._producer = Producer({**self.settings.kafka(), "linger.ms": 5})
        self.store = Store.connect(redis_url, store_settings(self.monitor))
        self.written: dict[int, list[AssessmentRecord]] = {0: [], 1: []}

    def send(
        self, topic: str, partition: int, values: Iterable[bytes], headers: dict[str, bytes] | None = None
    ) -> None:
        for value in values:
            self._producer.produce(topic, value, b"key", partition, headers=headers)
        assert self._producer.flush(30) == 0

    def assess(self, records: Iterable[AssessmentRecord]) -> None:
        """Write records to the assessments log."""
        new: dict[int, list[AssessmentRecord]] = {0: [], 1: []}
        for record in records:
            new[record.partition].append(record)
        for partition, added in new.items():
            self.written[partition] += added
            self.send(self.monitor.assessments_topic, partition, map(encode, added))

    def twin(self, change: Callable[[AssessmentRecord], AssessmentRecord], most: int | None = None) -> World:
        """Another monitor on the same source topics and the same alerts topic, whose `most` first records are changed
        ones of this monitor's, applied."""
        made = World(
            self.path.parent,
            f"{self.monitor.name}-twin",
            self.settings.bootstrap_servers,
            self.environment["VIGILIA_REDIS_URL"],
            stem=self.monitor.name,
        )
        made.settings = self.settings
        for written in self.written.values():
            made.assess(map(change, written[:most]))
        made.detect()
        return made

    def detect(self, until: int | None = None) -> None:
        """Apply what is in the log (of each partition the records below `until`), close, and publish the alerts."""
        timing = Timing(self.monitor.bucket_ms, self.monitor.disorder_ms)
        for partition, written in self.written.items():
            positions = self.store.positions()
            a0 = positions.next.get(partition, 0)
            batch = written[a0:until]
            step = advance(positions.sources, batch, timing)
            assert isinstance(self.store.apply(partition, a0, a0 + len(batch), step), Applied)
        closer = Closer(self.monitor, self.store, vocabulary="none")
        while closer.close_next() is not None:
            pass
        records = self.store.alert_records(list(self.store.alerts_since("").changed))
        for alert_id, record in records.items():
            self._producer.produce(self.settings.alerts_topic, record, alert_id)
        assert self._producer.flush(30) == 0

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """What retention does."""
        admin = AdminClient(self.settings.kafka())
        for future in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            future.result(30)

    def fill(self, days: int = 60, seed: int = 3) -> None:
        """A stream with everything in it: duplicates, late cases, dead letters, a gap, and a planted signal."""
        rng = random.Random(seed)
        offsets = dict.fromkeys(self.monitor.roster, 0)
        self.send(self.reports, 0, [b"gone"] * 3)
        self.delete_before(self.reports, 0, 3)
        records: list[AssessmentRecord] = [Gap(self.reports, 0, 0, 2)]
        offsets[self.reports, 0] = 3
        for day in range(days):
            for _ in range(8):
                records.append(self._message(rng, offsets, day))
            if day >= 40 and day % 3 == 0:
                records.append(self._planted(offsets, day))
        records += [Tick(*source, at=offset, received_at=END_OF_TIME) for source, offset in offsets.items()]
        for (topic, partition), offset in offsets.items():
            self.send(
                topic, partition, [b"a message"] * (offset - (3 if (topic, partition) == (self.reports, 0) else 0))
            )
        self.assess(records)

    def _message(self, rng: random.Random, offsets: dict[tuple[str, int], int], day: int) -> AssessmentRecord:
        topic, partition = rng.choice(self.monitor.roster)
        offset = offsets[topic, partition]
        offsets[topic, partition] += 1
        if rng.random() < 0.05:
            return DeadLetter(topic, partition, offset, offset, rng.choice(["unreadable", "too_large"]), "", day)
        behind = 5 if rng.random() < 0.05 else rng.choice([0, 0, 0, 1])
        return Assessment(
            topic, partition, offset, offset,
            received_at=(START + max(0, day - behind)) * DAY + rng.randrange(DAY),
            case_id=f"case-{rng.randrange(400)}",
            version=1,
            stratum=rng.randrange(3),
            drugs=sorted(rng.sample(["Ain", "Bin", "Cin"], rng.choice([1, 1, 2]))),
            events=(events := _events(rng)),
            scores=[1_000_000] * len(events),
            fingerprints=[f"print-{rng.randrange(300)}"],
        )  # fmt: skip

    def _planted(self, offsets: dict[tuple[str, int], int], day: int) -> AssessmentRecord:
        source = (self.reports, day % 2)
        offset = offsets[source]
        offsets[source] += 1
        return Assessment(
            *source,
            offset,
            offset,
            (START + day) * DAY,
            f"planted-{day}",
            1,
            0,
            [PLANTED[0]],
            [PLANTED[1]],
            [1_000_000],
        )


def _events(rng: random.Random) -> list[str]:
    common = rng.sample(["Fever", "Rash", "Cough"], rng.choice([1, 2]))
    return sorted([*common, PLANTED[1]] if rng.random() < 0.02 else common)


@pytest.fixture
def world(
    tmp_path: Path,
    kafka: str,
    redis_server: RedisServer,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    made = World(tmp_path, unique("m"), kafka, redis_server.url)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.store.close()
