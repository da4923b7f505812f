"""A worker whose Triton server dies and comes back: one short run. `make faults` has the long ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.state.server import RedisServer
from tests.lab import make_lab
from tests.triton_lab import MONITOR, Stream, classified_by

pytestmark = pytest.mark.kafka


@pytest.mark.timeout(600)
def test_a_server_that_is_killed_under_a_stream_loses_no_message_and_counts_none_twice(
    tmp_path: Path, kafka: str, unique: Callable[[str], str], redis_server: RedisServer, triton_server: Any
) -> None:
    lab = make_lab(tmp_path, unique("model-server"), kafka, redis_server.url, partitions=2, text=MONITOR)
    stream = Stream(lab, triton_server)
    with classified_by(triton_server), stream.running(20):
        time.sleep(1)
        triton_server.kill()
        stream.recovery(triton_server.start)
    found = lab.audit()
    assert (found["lost"], found["counted_twice"]) == (0, 0)
    with lab.store() as store:
        assert store.counters().get("dead_letter", 0) == 0
        assert store.counters()["counted"] == stream.sent
    assert "intake_paused" in lab.logs()
    assert "intake_resumed" in lab.logs()
