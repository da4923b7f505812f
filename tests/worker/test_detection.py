"""Detect in a worker, on a real Redis: when a bounded run is finished, and which moves of Redis it notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from streams.events import END_OF_TIME, Tick, encode
from streams.monitors import Monitor, Source
from streams.state.server import RedisServer
from streams.worker.detection import Detection

TOPIC = "reports"


@pytest.fixture
def make(unique: Callable[[str], str], redis_server: RedisServer) -> Iterator[Callable[..., Detection]]:
    name = unique("detection")
    made = []

    def detection(**options: object) -> Detection:
        monitor = Monitor(name=name, sources=(Source(topic=TOPIC),))
        made.append(Detection(monitor, redis_server.url, vocabulary="v", **options))  # type: ignore[arg-type]
        made[-1].open()
        made[-1].starts([0])
        return made[-1]

    yield detection
    made[0].store.wipe()
    for detection_ in made:
        detection_.close()


def test_a_log_that_ends_in_nothing_to_read_is_finished_with_its_end_tick(make: Callable[..., Detection]) -> None:
    """The end offset counts a transaction's marker; no record ever covers it."""
    detection = make(until={(TOPIC, 0): 1})
    assert not detection.is_finished()
    detection.apply(0, 0, 1, [encode(Tick(TOPIC, 0, 0, END_OF_TIME))])
    assert detection.is_finished()


def test_provisional_alerts_begin_anew_only_where_redis_was_set_back(make: Callable[..., Detection]) -> None:
    idle, busy = make(), make()
    forgotten: list[str] = []
    idle.provisional.forget = lambda: forgotten.append("forget")  # type: ignore[method-assign]
    busy.apply(0, 0, 1, [encode(Tick(TOPIC, 0, 0, 1))])
    assert idle.moved() == {0: 1}
    assert idle.moved() == {}
    assert not forgotten, "another worker went on with a partition that was ours"
    busy.store.wipe()
    assert idle.moved() == {0: 0}
    assert forgotten
