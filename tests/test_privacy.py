"""Patients stay private: what a message says reaches no log line, no other topic and no Redis key or value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from streams.monitors import load_monitor
from streams.settings import load_settings
from streams.subscribers.reading import TopicReader
from streams.transport.topics import ensure_topics, required_topics

if TYPE_CHECKING:
    from streams.state.server import RedisServer

pytestmark = pytest.mark.kafka

SECRETS = ("Quellwasser", "Fliederweg")
MONITOR = """
name = "{name}"
evidence = "{evidence}"
[[sources]]
topic = "{name}-reports"
[[sources]]
topic = "{name}-notes"
"""
SAYS = "Mrs Quellwasser of Fliederweg 4 developed a severe rash after amoxicillin."
DAY = 86_400_000


def reports() -> list[bytes]:
    """Good ones, and bad ones of which each error has a chance to quote what it failed on."""
    report = {
        "type": "adverse_event", "case_id": "1", "received_at": 10_000 * DAY, "products": [{"name": "amoxicillin"}],
        "events": ["Rash"], "narrative": SAYS,
    }  # fmt: skip
    broken: list[object] = [
        {**report, "narrative": {"Quellwasser": "Fliederweg"}},
        {**report, "version": "Quellwasser"},
        {**report, "received_at": "Quellwasser, Fliederweg"},
        {**report, "patient": {"sex": "Quellwasser", "age_years": "Fliederweg"}},
        {**report, "type": "Quellwasser"},
        {**report, "events": [["Quellwasser"]]},
        {**report, "Quellwasser": SAYS, "products": []},
        [SAYS],
        SAYS,
    ]
    raw = [SAYS.encode(), f'{{"{SAYS}'.encode(), b"\xff" + SAYS.encode(), SAYS.encode("utf-16"), SAYS.encode() * 50_000]
    good = [json.dumps({**report, "case_id": str(i), "received_at": (10_000 + i) * DAY}).encode() for i in range(5)]
    return [*good, *(json.dumps(value).encode() for value in broken), *raw]


def notes() -> list[bytes]:
    return [
        json.dumps(
            {"type": "clinical_note", "case_id": f"n{i}", "text": SAYS, "received_at": (10_000 + i) * DAY}
        ).encode()
        for i in range(3)
    ]


@pytest.mark.parametrize("evidence", ["coded", "both"])
def test_what_patients_say_stays_on_the_input_topics(
    evidence: str, kafka: str, redis_server: RedisServer, unique: Callable[[str], str], tmp_path: Path
) -> None:
    name = unique("private")
    (tmp_path / "monitor.toml").write_text(MONITOR.format(name=name, evidence=evidence), "utf-8")
    monitor = load_monitor(tmp_path / "monitor.toml")
    settings = load_settings(bootstrap_servers=kafka, alerts_topic=f"{name}-alerts")
    ensure_topics(settings, required_topics(monitor, settings))
    producer = Producer({"bootstrap.servers": kafka, "message.max.bytes": 15_000_000})
    for topic, values in ((f"{name}-reports", reports()), (f"{name}-notes", notes())):
        for value in values:
            headers = {"content-type": b"application/json; Quellwasser"} if value == values[-1] else None
            producer.produce(topic, value, f"{name}", headers=headers)
    assert producer.flush(30) == 0
    environment = {
        **os.environ,
        "VIGILIA_BOOTSTRAP_SERVERS": kafka,
        "VIGILIA_REDIS_URL": redis_server.url,
        "VIGILIA_ALERTS_TOPIC": f"{name}-alerts",
        "VIGILIA_LOG_LEVEL": "debug",
    }

    def vigilia(*args: str) -> str:
        command = [sys.executable, "-m", "streams.cli", *args, "--monitor", str(tmp_path / "monitor.toml")]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout + result.stderr

    told = vigilia("run", "--drain") + vigilia("dead-letters") + vigilia("audit") + vigilia("doctor")
    assert "0 lost, 0 counted twice" in told
    written: list[bytes] = []
    for topic in (monitor.assessments_topic, f"{name}-alerts"):
        with TopicReader(settings, topic) as reader:
            for message in reader.messages():
                written += [message.key() or b"", message.value() or b"", repr(message.headers()).encode()]
    assert len(written) > 3 * len(reports())
    state = _everything_in(redis_server, name)
    assert len(state) > 20
    for secret in SECRETS:
        assert secret not in told
        assert not [line for line in (*written, *state) if secret.encode() in line]


def _everything_in(server: RedisServer, name: str) -> list[bytes]:
    import redis

    client = redis.Redis.from_url(server.url)
    found: list[bytes] = []
    for key in client.keys(f"*{name}*"):
        found.append(key)
        kind = client.type(key)
        if kind == b"hash":
            found += [part for item in client.hgetall(key).items() for part in item]
        elif kind == b"zset":
            found += client.zrange(key, 0, -1)
        elif kind == b"set":
            found += list(client.smembers(key))
        elif kind == b"list":
            found += client.lrange(key, 0, -1)
        else:
            found.append(client.get(key))
    client.close()
    return found
