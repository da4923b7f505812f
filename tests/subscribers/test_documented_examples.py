"""The programs in docs/subscribing.md run as they stand there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.events import Alert, Table, Versions, encode

pytestmark = pytest.mark.kafka
PAGE = Path(__file__).parents[2] / "docs" / "subscribing.md"
ALERT = Alert(
    id="a1", monitor="vaers", drug="RV", event="Intussusception", kind="signal", level="early", state="raised",
    status="new", raised_at="1999-03-03", bucket=10653, decided=10653, cases=5, table=Table(5, 3, 10, 400, 0.06),
    statistic=120.0, threshold=95.2, measures={}, evidence=[], evidence_omitted=5,
    versions=Versions("h", "early", "v", None),
)  # fmt: skip


@pytest.fixture
def programs(kafka: str, unique: Callable[[str], str], tmp_path: Path) -> tuple[list[Path], dict[str, str]]:
    topic = unique("alerts")
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, 1, config={"cleanup.policy": "compact"})])[topic].result(30)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, encode(ALERT), ALERT.id)
    assert producer.flush(30) == 0
    paths = []
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)):
        paths.append(tmp_path / f"example_{number}.py")
        paths[-1].write_text(code.replace("safety-desk", topic), "utf-8")
    root = str(PAGE.parents[1])
    kafka_settings = {"VIGILIA_BOOTSTRAP_SERVERS": kafka, "VIGILIA_ALERTS_TOPIC": topic}
    return paths, {**os.environ, **kafka_settings, "PYTHONPATH": root}


def test_the_follower_prints_alerts_as_they_come(programs: tuple[list[Path], dict[str, str]]) -> None:
    paths, environment = programs
    process = subprocess.Popen(
        [sys.executable, paths[0]], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    assert process.stdout is not None
    assert process.stdout.readline() == "1999-03-03 RV x Intussusception: 5 cases\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    watchdog.cancel()
    process.stdout.close()


def test_the_lister_prints_what_is_there_and_stops(programs: tuple[list[Path], dict[str, str]]) -> None:
    paths, environment = programs
    result = subprocess.run(
        [sys.executable, paths[1]], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "a1 raised RV x Intussusception\n"
