"""Workers that die at any moment, and a Redis that forgets: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.state.server import RedisServer
from tests.lab import Lab, make_lab, reports

pytestmark = pytest.mark.kafka

MESSAGES = 20_000
KILLS = 10


@pytest.fixture
def lab(tmp_path: Path, kafka: str, unique: Callable[[str], str], redis_server: RedisServer) -> Lab:
    return make_lab(tmp_path, unique("kill"), kafka, redis_server.url)


def load_slowly(lab: Lab, seconds: float) -> threading.Thread:
    """Send MESSAGES over about `seconds`, in a thread."""

    def send() -> None:
        begun = time.monotonic()

        def paced():
            for n, message in enumerate(reports(MESSAGES, lab.topic)):
                if n % 200 == 0:
                    time.sleep(max(0.0, begun + n * seconds / MESSAGES - time.monotonic()))
                yield message

        lab.load(paced())

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.timeout(600)
def test_ten_kills_during_a_load_lose_nothing_and_count_nothing_twice(lab: Lab) -> None:
    chance = random.Random(20261122)
    loading = load_slowly(lab, 25.0)
    for _ in range(KILLS):
        before = lab.applied()
        with lab.worker() as worker:
            # Some die as soon as they apply something, some later, some before they have closed what they applied.
            lab.wait_until(lambda before=before: lab.applied() > before or not loading.is_alive())
            time.sleep(chance.uniform(0.0, 1.0))
            assert worker.poll() is None, lab.logs()
            worker.send_signal(signal.SIGKILL)
    loading.join()
    lab.drain()
    assert lab.applied() == MESSAGES
    found = lab.audit()
    assert found["lost"] == 0
    assert found["counted_twice"] == 0


def test_a_redis_emptied_in_the_middle_of_a_run_ends_with_the_same_counts_and_alerts(
    tmp_path: Path, kafka: str, unique: Callable[[str], str], redis_server: RedisServer
) -> None:
    name = unique("flush")
    quiet = make_lab(tmp_path, name, kafka, redis_server.url)
    quiet.load(reports(MESSAGES, quiet.topic))
    quiet.drain()
    expected = quiet.end_state()
    assert expected[0]["counted"] > MESSAGES * 0.9
    assert expected[1], "the planted pair must raise an alert, or equal histories say nothing"
    with RedisServer() as other:
        lab = Lab(quiet.monitor, quiet.file, quiet.settings.model_copy(update={"redis_url": _secret(other.url)}))
        with lab.worker("--drain") as worker:
            lab.wait_until(lambda: lab.applied() > MESSAGES // 3)
            with lab.store() as store:
                store.client.flushall()
            assert worker.wait(120) == 0, lab.logs()
        assert lab.end_state() == expected
        assert lab.audit()["lost"] == 0


def _secret(value: str):
    from pydantic import SecretStr

    return SecretStr(value)
