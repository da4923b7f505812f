"""Two thousand messages that nobody can use, through a real worker: each becomes a dead letter with its reason, the
worker's exit status and memory are untouched, and the good ones among them are all counted."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.intake.loader import Outgoing
from streams.state.server import RedisServer
from tests.lab import Lab, make_lab, reports
from tests.properties.malformed import malformed_messages

pytestmark = pytest.mark.kafka

GOOD = 3_000
LARGEST = 12_000_000  # bytes; the largest malformed message has 10 MB
MEMORY_MIB = 1024

REASONS = {"unreadable", "schema_mismatch", "future_timestamp", "too_large", "unknown_format"}


@pytest.fixture
def lab(tmp_path: Path, kafka: str, unique: Callable[[str], str], redis_server: RedisServer) -> Lab:
    name = unique("malformed")
    topic = NewTopic(f"{name}-reports", 3, 1, config={"max.message.bytes": str(LARGEST)})
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([topic]).values():
        future.result()
    return make_lab(tmp_path, name, kafka, redis_server.url)


@pytest.mark.timeout(300)
def test_every_malformed_message_is_a_dead_letter_and_every_good_one_is_counted(lab: Lab) -> None:
    bad = malformed_messages()
    assert len(bad) == 2_000
    messages = list(reports(GOOD, lab.topic))
    chance = random.Random(7)
    for _, value in bad:
        messages.insert(chance.randrange(len(messages) + 1), Outgoing(lab.topic, None, value))
    lab.load(messages)
    peak = 0
    with lab.worker("--drain") as worker:
        process = psutil.Process(worker.pid)

        def finished() -> bool:
            nonlocal peak
            if worker.poll() is None:
                peak = max(peak, process.memory_info().rss)
            return worker.poll() is not None

        lab.wait_until(finished)
        assert worker.returncode == 0, lab.logs()
    assert peak < MEMORY_MIB << 20
    counters, _ = lab.end_state()
    dead = {name.removeprefix("dead_letter:"): n for name, n in counters.items() if name.startswith("dead_letter:")}
    assert sum(dead.values()) == len(bad)
    assert dead.keys() <= REASONS
    assert counters["counted"] + counters.get("late", 0) + counters["duplicate"] == GOOD
    listed = lab.cli("dead-letters", "--monitor", str(lab.file), "--json")
    reasons = Counter(json.loads(line)["reason"] for line in listed.stdout.splitlines())
    assert reasons == dead
