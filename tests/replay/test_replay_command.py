"""`vigilia replay`: it ends by itself, and what it writes depends on the reports alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.cli import main
from streams.events import decode_alert
from streams.state.server import RedisServer
from streams.transport.groups import groups_named
from tests.lab import Lab, make_lab, reports

pytestmark = pytest.mark.kafka

MESSAGES = 12_000


@pytest.fixture
def lab(tmp_path: Path, kafka: str, unique: Callable[[str], str], redis_server: RedisServer) -> Lab:
    lab = make_lab(tmp_path, unique("past"), kafka, redis_server.url)
    lab.load(reports(MESSAGES, lab.topic))
    return lab


def replayed(lab: Lab, out: Path, *options: str) -> tuple[dict[str, object], bytes]:
    result = lab.cli("replay", "topic", "--monitor", str(lab.file), "--out", str(out), "--json", *options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), out.read_bytes()


@pytest.mark.timeout(300)
def test_replays_with_other_batch_sizes_and_worker_counts_write_the_same_bytes(lab: Lab, tmp_path: Path) -> None:
    summary, one = replayed(lab, tmp_path / "1.jsonl", "--workers", "1")
    assert summary["messages"] == summary["applied"] == MESSAGES
    alerts = [decode_alert(line) for line in one.splitlines()]
    assert ("planted", "hepatitis") in {(a.drug, a.event) for a in alerts if a.state == "raised"}
    assert [(a.bucket, a.id) for a in alerts] == sorted((a.bucket, a.id) for a in alerts)
    assert {a.state for a in alerts} <= {"raised", "updated"}
    for workers, batch in ((2, 97), (3, 13)):
        out = tmp_path / f"{workers}.jsonl"
        assert replayed(lab, out, "--workers", str(workers), "--batch", str(batch))[1] == one


def test_a_replay_leaves_neither_topics_nor_keys_behind(lab: Lab, tmp_path: Path) -> None:
    admin = AdminClient(lab.settings.kafka())

    def topics() -> set[str]:
        return {name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")}  # Kafka's own

    before, groups = topics(), groups_named(lab.settings, "replay-")
    replayed(lab, tmp_path / "out.jsonl")
    assert topics() == before
    assert groups_named(lab.settings, "replay-") == groups
    with lab.store() as store:
        assert not list(store.client.scan_iter("v:{replay-*"))


def test_a_folder_that_is_not_there_is_said_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "topic", "-m", "vaers", "--out", str(tmp_path / "no" / "alerts.jsonl")]) == 2
    assert "no folder" in capsys.readouterr().err


def test_a_drained_live_run_and_a_replay_agree_on_every_bucket_the_live_run_has_closed(
    lab: Lab, tmp_path: Path
) -> None:
    lab.drain()
    _, live = lab.end_state()
    _, replay = replayed(lab, tmp_path / "out.jsonl")
    assert live
    assert replay.splitlines()[: len(live)] == live
