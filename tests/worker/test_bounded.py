"""The workers of a bounded run do not outlive it, and what they leave half done is no result."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from streams.detect.progress import advance
from streams.detect.time import Timing
from streams.errors import StateDirty, StoreUnavailable, VigiliaError
from streams.events import END_OF_TIME, Tick
from streams.monitors import Monitor, Source
from streams.settings import Settings
from streams.state.server import RedisServer
from streams.state.session import StoreSettings
from streams.state.store import Store
from streams.worker import bounded
from streams.worker.bounded import Progress, _check_end, _patiently, _show

ROOT = Path(__file__).resolve().parent.parent.parent
PARENT = """
import multiprocessing, threading, time
from streams.worker.bounded import _end_with_parent

def child():
    threading.Thread(target=_end_with_parent, daemon=True).start()
    time.sleep(60)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=child, daemon=True)
    process.start()
    print(process.pid, flush=True)
    time.sleep(60)
"""


def test_a_worker_ends_when_the_command_that_started_it_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)], env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(1)
        parent.kill()
        assert worker.wait(20) != 0 or not worker.is_running()


def test_a_worker_that_crashes_says_where_and_not_on_what(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def crash(*_args: object, **_options: object) -> int:
        raise ValueError("Mrs Quellwasser")

    monkeypatch.setattr(bounded, "work", crash)
    monkeypatch.setattr(bounded, "_end_with_parent", lambda: None)
    before = logging.getLogger().handlers[:]
    try:
        with pytest.raises(SystemExit) as ended:
            bounded._work(Monitor(name="crash", sources=(Source(topic="reports"),)), Settings(), {})
    finally:
        logging.getLogger().handlers[:] = before
    assert ended.value.code == 70
    told = capfd.readouterr().err
    assert "ValueError" in told
    assert "Quellwasser" not in told


def test_workers_that_were_stopped_early_give_no_result(
    unique: Callable[[str], str], redis_server: RedisServer
) -> None:
    monitor = Monitor(name=unique("bounded"), sources=(Source(topic="reports"),))
    store = Store.connect(redis_server.url, StoreSettings.of(monitor))
    with pytest.raises(VigiliaError, match="stopped"):
        _check_end(store)
    step = advance(store.positions().sources, [Tick("reports", 0, 0, END_OF_TIME)], Timing(1, 0))
    store.apply(0, 0, 1, step)
    _check_end(store)
    store.wipe()
    store.close()


def test_whoever_watches_outlasts_a_dirty_state_and_a_redis_that_is_away(unique: Callable[[str], str]) -> None:
    monitor = Monitor(name=unique("watched"), sources=(Source(topic="reports"),))
    shown: list[Progress] = []
    with RedisServer() as server:
        store = Store.connect(server.url, StoreSettings.of(monitor), timeout=1)
        store.client.hset(store.keys.meta, "dirty", "apply")
        _show(shown.append, store, {("reports", 0): 7})
        assert shown == []
        store.client.hdel(store.keys.meta, "dirty")
        _show(shown.append, store, {("reports", 0): 7})
        assert [progress.messages for progress in shown] == [7]
    _show(shown.append, store, {("reports", 0): 7})
    assert len(shown) == 1
    store.close()


def test_the_end_is_asked_for_until_redis_answers_but_not_for_ever() -> None:
    answers: list[Exception | str] = [StoreUnavailable("away"), StoreUnavailable("away"), "here"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert _patiently(ask, 30) == "here"
    answers[:] = [StoreUnavailable("away")] * 2
    with pytest.raises(StoreUnavailable):
        _patiently(ask, 0)
    answers[:] = [StateDirty("half")]
    with pytest.raises(StateDirty):
        _patiently(ask, 30)
