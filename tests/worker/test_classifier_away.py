"""A worker whose classifier runs on a real Triton: what happens to messages while it is away, and to poison."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from streams.events import ClinicalNote, encode
from streams.intake.loader import Outgoing
from streams.state.server import RedisServer
from tests.lab import DAY_MS, FIRST_DAY, make_lab
from tests.triton_models import POISON, poisoned, serve_as

pytestmark = pytest.mark.kafka

SESSION_SECONDS = 2.0
RECOVERY_SECONDS = 5.0
HALF = 40
POISONED = {7, HALF + 3}
MONITOR = """
name = "{name}"
evidence = "text"

[[sources]]
topic = "{name}-notes"
partitions = {partitions}

[alarms]
pairs = 100
buckets_per_year = 365
burn_in_days = 1
"""


def notes(topic: str, numbers: range) -> Iterator[Outgoing]:
    for n in numbers:
        what = POISON if n in POISONED else f"rash number {n}"
        text = f"The patient developed {what} after starting amoxicillin. He feels well otherwise."
        note = ClinicalNote(case_id=f"note-{n}", text=text, received_at=FIRST_DAY * DAY_MS + n)
        yield Outgoing(topic, note.case_id.encode(), encode(note))


@pytest.mark.timeout(240)
def test_a_worker_without_classifier_pauses_keeps_its_partitions_and_loses_nothing(
    tmp_path: Path,
    kafka: str,
    redis_server: RedisServer,
    triton_tool: ModuleType,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    artefact = poisoned(tmp_path / "artefact")
    repository = tmp_path / "models"
    serve_as(repository, "adverse_event", artefact=artefact.folder)
    lab = make_lab(tmp_path, unique("away"), kafka, redis_server.url, partitions=2, text=MONITOR)
    monkeypatch.setenv("VIGILIA_MODEL_FOLDER", str(artefact.folder))
    monkeypatch.setenv("VIGILIA_SESSION_TIMEOUT_MS", str(int(1000 * SESSION_SECONDS)))

    def logs() -> str:
        return "".join(path.read_text() for path in tmp_path.glob("worker-*.log"))

    with triton_tool.Server(models=repository) as triton:
        monkeypatch.setenv("VIGILIA_TRITON_URLS", triton.grpc)
        lab.load(notes(lab.topic, range(HALF)))
        with lab.worker() as worker:
            lab.wait_until(lambda: lab.applied() == HALF)
            triton.kill()
            lab.load(notes(lab.topic, range(HALF, 2 * HALF)))
            lab.wait_until(lambda: "intake_paused" in logs())
            before = psutil.Process(worker.pid).cpu_times()
            time.sleep(2 * SESSION_SECONDS)
            after = psutil.Process(worker.pid).cpu_times()
            assert after.user - before.user < 0.5 * 2 * SESSION_SECONDS, "it spins"
            assert lab.applied() == HALF
            assert "intake_resumed" not in logs()
            triton.start()
            back = time.monotonic()
            lab.wait_until(lambda: lab.applied() == 2 * HALF)
            took = time.monotonic() - back
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0
    assert took < RECOVERY_SECONDS, logs()
    assert "intake_resumed" in logs()
    assert "partitions_lost" not in logs()
    assert logs().count("partitions_assigned") == 2, "to each stage once"

    outcomes = tmp_path / "outcomes.jsonl"
    found = lab.cli("audit", "--monitor", str(lab.file), "--json", "--outcomes", str(outcomes))
    assert found.returncode == 0, found.stdout + found.stderr
    audited = json.loads(found.stdout)
    assert (audited["lost"], audited["counted_twice"]) == (0, 0)
    dead = [json.loads(line) for line in outcomes.read_text().splitlines() if '"dead letter"' in line]
    assert [letter["reason"] for letter in dead] == ["poison_input"] * len(POISONED)
    assert POISON not in logs()
