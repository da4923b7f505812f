"""From produce to provisional alert, while the worker is under load.

Every pair (drug i, event i) has had cases on two days, closed; one more case on the open day makes it fire. Those last
cases are sent one by one among coded reports at a fixed rate, and their provisional alerts are awaited on the topic.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.rig import Rig, Watched
from streams.events import AdverseEvent, Patient, Product, decode_alert, encode
from streams.intake.loader import Outgoing
from tests.lab import DAY_MS, FIRST_DAY, Lab, reports
from tests.lab import MONITOR as LAB_MONITOR

PAIRS = 120
APART_SECONDS = 0.15
HISTORY = 4_000
OPEN_DAY = FIRST_DAY + 40
WAIT_SECONDS = 15.0

# The tests' monitor with alarms that come easily: what is timed is the way, not the rule.
MONITOR = (
    LAB_MONITOR.split("[alarms]")[0]
    + """[alarms]
pairs = 100000
buckets_per_year = 365
false_alarms_per_year = 365
burn_in_days = 1
"""
)


@dataclass(frozen=True)
class Latency:
    """Milliseconds from `produce()` to the alert's arrival at a subscriber; `missing` alerts never came."""

    rate: float
    alerts: int
    missing: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    peak_rss: int


def provisional(rig: Rig, rate: float) -> Latency:
    """Latencies at `rate` messages a second."""
    lab = rig.lab("latency", MONITOR)
    loaded = lab.load(history(lab.topic))
    with lab.worker() as process:
        watched = Watched(lab, process.pid)
        watched.until(loaded)
        consumer = Consumer({**lab.settings.kafka(), "group.id": "latency", "enable.auto.commit": False})
        consumer.assign([TopicPartition(lab.settings.alerts_topic, 0, 0)])
        sent, came = run(lab, consumer, rate)
        watched.until(loaded)
        consumer.close()
    # An alert that never came counts as one that took as long as it was waited for.
    waits = np.array(sorted(came.get(drug, at + WAIT_SECONDS) - at for drug, at in sent.items())) * 1000
    p50, p99 = (float(np.percentile(waits, q)) for q in (50, 99))
    return Latency(rate, len(came), len(sent.keys() - came.keys()), p50, p99, float(waits[-1]), watched.peak_rss)


def report_of(topic: str, number: int, pair: int, day: int) -> Outgoing:
    """A case of one of the pairs."""
    report = AdverseEvent(
        case_id=f"pair-{number}",
        products=[Product(f"watched {pair}")],
        events=[f"effect {pair}"],
        received_at=day * DAY_MS + number % DAY_MS,
        patient=Patient(age_years=float(number % 80), sex="F", region=f"p{number}"),
    )
    return Outgoing(topic, report.case_id.encode(), encode(report))


def history(topic: str) -> Iterator[Outgoing]:
    """Forty days of background, and on two of them three cases of each pair."""
    number = 0
    for n, outgoing in enumerate(reports(HISTORY, topic, seed=3, days=39)):
        day = n * 39 // HISTORY
        yield outgoing
        if day in (10, 20) and (n - 1) * 39 // HISTORY != day:
            for pair in range(PAIRS):
                for _ in range(3):
                    yield report_of(topic, number, pair, FIRST_DAY + day)
                    number += 1


def run(lab: Lab, consumer: Consumer, rate: float) -> tuple[dict[str, float], dict[str, float]]:
    """Send load and the last cases; when each was sent, and when its alert came, by drug."""
    seconds = PAIRS * APART_SECONDS
    load = [encode(message) for message in background(int(rate * (seconds + 2)))]
    producer = Producer({**lab.settings.kafka(), "linger.ms": 2, "acks": "all"})
    sent: dict[str, float] = {}
    came: dict[str, float] = {}
    begun, n, pair = time.monotonic(), 0, 0
    while pair < PAIRS:
        elapsed = time.monotonic() - begun
        while n < len(load) and n < elapsed * rate:
            producer.produce(lab.topic, load[n], str(n).encode())
            n += 1
        if elapsed > 1 + pair * APART_SECONDS:
            message = report_of(lab.topic, 1_000_000 + pair, pair, OPEN_DAY)
            sent[f"watched {pair}"] = time.monotonic()
            producer.produce(lab.topic, message.value, message.key)
            pair += 1
        producer.poll(0)
        take(consumer, came, 0.002)
    deadline = time.monotonic() + WAIT_SECONDS
    while came.keys() != sent.keys() and time.monotonic() < deadline:
        take(consumer, came, 0.01)
    producer.flush()
    return sent, came


def background(number: int) -> Iterator[AdverseEvent]:
    """Reports of the open day that make nothing fire: drugs and events are drawn apart from each other."""
    chance = random.Random(5)
    for n in range(number):
        yield AdverseEvent(
            case_id=f"load-{n}",
            products=[Product(f"drug{chance.randrange(12)}")],
            events=[f"event{chance.randrange(30)}"],
            received_at=OPEN_DAY * DAY_MS + n % DAY_MS,
            patient=Patient(age_years=float(n % 90), sex="M", region=f"r{n}"),
        )


def take(consumer: Consumer, came: dict[str, float], seconds: float) -> None:
    """Note the provisional alerts that have come."""
    for message in consumer.consume(100, seconds):
        if message.error() is None and message.value() is not None:
            alert = decode_alert(message.value())
            if alert.state == "provisional":
                came.setdefault(alert.drug, time.monotonic())
