"""What a worker does with Redis when something is not as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from streams.errors import StateConflict
from streams.events import MICRO, Assessment, encode
from streams.monitors import Monitor, Source
from streams.state.server import RedisServer
from streams.worker import detection as module
from streams.worker.detection import Detection

DAY_MS = 86_400_000


@pytest.fixture
def detection(redis_server: RedisServer, unique: Callable[[str], str]) -> Iterator[Detection]:
    monitor = Monitor(name=unique("detection"), sources=(Source(topic="loud"), Source(topic="silent")))
    found = Detection(monitor, redis_server.url, vocabulary="v")
    found.open()
    found.starts([0])
    yield found
    found.close()


def record(offset: int) -> bytes:
    case = f"case-{offset}"
    received = (10_000 + offset) * DAY_MS
    return encode(Assessment("loud", 0, offset, offset, received, case, 1, 0, ["drug"], ["event"], [MICRO]))


@pytest.mark.parametrize("garbage", [b"not JSON", b"{}", b"[" * 100_000, b"\xff\xfe", b""])
def test_bytes_that_are_no_assessment_record_are_named_and_nothing_is_applied(
    detection: Detection, garbage: bytes
) -> None:
    with pytest.raises(
        StateConflict, match=r"assessments/0: something between offsets 0 and 1 is no assessment record"
    ):
        detection.apply(0, 0, 2, [record(0), garbage])
    assert detection.store.positions().next == {}


def test_a_partition_that_holds_every_close_is_named_in_the_log_and_open_buckets_are_not_looked_at(
    detection: Detection,
) -> None:
    values = [record(offset) for offset in range(module.MOST_OPEN + 1)]
    detection.apply(0, 0, len(values), values)
    with capture_logs() as logs:
        assert detection.look() == 0
        assert detection.look() == 0
    held = [entry for entry in logs if entry["event"] == "watermark_held"]
    assert [entry["partitions"] for entry in held] == [["silent/0"]]
    assert held[0]["open_buckets"] == len(values)


def test_a_worker_that_is_behind_looks_less_often_but_looks(
    detection: Detection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def look() -> list[str]:
        looks.append("a look")
        return []

    monkeypatch.setattr(detection.provisional, "look", look)
    monkeypatch.setattr(module, "BEHIND_SECONDS", 3600.0)
    detection._looked = time.monotonic() - 10.0
    assert detection.look(behind=True) == 0
    assert looks == []
    detection.look()
    assert len(looks) == 1
    detection._looked -= 3601.0
    detection.look(behind=True)
    assert len(looks) == 2
