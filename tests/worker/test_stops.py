"""How a run that is stopped ends: a live one well, also while Redis is away; a bounded one says that it is not done."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.monitors import load_monitor
from streams.state.server import RedisServer
from streams.transport.groups import groups_named
from tests.lab import make_lab, reports

pytestmark = pytest.mark.kafka


def test_a_live_run_that_is_stopped_while_redis_is_away_ends_well_and_loses_nothing(
    kafka: str, unique: Callable[[str], str], tmp_path: Path
) -> None:
    with RedisServer() as server:
        lab = make_lab(tmp_path, unique("stop"), kafka, server.url, partitions=1)
        sent = lab.load(reports(300, lab.topic))
        with lab.worker() as worker:
            lab.wait_until(lambda: lab.applied() == sent)
            server.stop()
            lab.wait_until(lambda: "detect_waits" in lab.logs())
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0, lab.logs()
    assert groups_named(lab.settings, f"{lab.monitor.name}.worker.") == []
    with RedisServer() as server:
        again = make_lab(tmp_path, lab.monitor.name, kafka, server.url, partitions=1)
        assert again.monitor == load_monitor(lab.file)
        again.drain()
        assert again.applied() == sent


def test_a_drain_that_is_stopped_before_its_end_says_so(
    kafka: str, redis_server: RedisServer, unique: Callable[[str], str], tmp_path: Path
) -> None:
    lab = make_lab(tmp_path, unique("drain"), kafka, redis_server.url, partitions=1)
    lab.load(reports(20_000, lab.topic))
    with lab.worker("--drain") as worker:
        lab.wait_until(lambda: "worker_started" in lab.logs())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 1, lab.logs()
    assert "worker_unfinished" in lab.logs()
    lab.drain()
    assert lab.applied() == 20_000
