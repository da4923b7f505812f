"""Bounded runs: the same worker over what the source topics hold now, in a namespace of its own, with an end.

The end offsets are taken once and given to every worker. Each writes end ticks for its partitions, and stops when the
last bucket is closed. Workers beyond the first run in processes of their own, as they would on other machines.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

import structlog

from streams.errors import StateDirty, StoreUnavailable, TransportError, VigiliaError
from streams.events import END_OF_TIME
from streams.logs import configure_logging, describe_exception
from streams.monitors import Monitor
from streams.settings import Settings
from streams.state.session import StoreSettings
from streams.state.store import Store
from streams.transport import Partition, control_topic, remove_topics
from streams.transport.groups import groups_named, remove_groups
from streams.worker.assessing import source_ends
from streams.worker.work import work

__all__ = ["Progress", "remove_namespace", "run_bounded"]

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

POLL_SECONDS = 0.25
INTERNAL_ERROR = 70  # as the command line's


@dataclass(frozen=True)
class Progress:
    """How far a bounded run is. `closed`: the last closed bucket."""

    messages: int
    applied: int
    closed: int | None
    counters: Mapping[str, int]
    raised: int


def run_bounded(
    monitor: Monitor,
    settings: Settings,
    *,
    workers: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Run to the end of the source topics; all topics are there. Returns how it ended.

    Raises VigiliaError as soon as a worker fails, and if they ended before the end: half a result is none.
    """
    until = source_ends(monitor, settings)
    assert settings.redis_url is not None
    store = Store.connect(settings.redis_url.get_secret_value(), StoreSettings.of(monitor))
    try:
        with _workers(monitor, settings, until, workers) as processes:
            while running := [process.sentinel for process in processes if process.is_alive()]:
                _check(processes)
                if on_progress is not None:
                    _show(on_progress, store, until)
                wait(running, POLL_SECONDS)
            _check(processes)
        return _patiently(lambda: _end(store, until), settings.shutdown_seconds)
    finally:
        store.close()


@contextmanager
def _workers(
    monitor: Monitor, settings: Settings, until: Mapping[Partition, int], workers: int
) -> Iterator[list[BaseProcess]]:
    spawning = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = [
        spawning.Process(target=_work, args=(monitor, settings, dict(until)), name=f"worker-{n}", daemon=True)
        for n in range(workers)
    ]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            process.join(settings.shutdown_seconds)


def _work(monitor: Monitor, settings: Settings, until: dict[Partition, int]) -> None:
    """One worker, in its process. Its exit status says how it went; the error's text is in the log."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    configure_logging(settings.log_level)
    try:
        status = work(monitor, settings, until=until)
    except Exception as error:  # noqa: BLE001 - multiprocessing would print its message, which may quote a report
        log.error("worker_crashed", error=describe_exception(error))
        status = INTERNAL_ERROR
    raise SystemExit(status)


def _end_with_parent() -> None:
    """Without it a worker whose command was killed would go on for ever, for nobody. Being killed is safe."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _check(processes: list[BaseProcess]) -> None:
    for process in processes:
        if process.exitcode not in (None, 0):
            raise VigiliaError(f"{process.name} ended with status {process.exitcode}: its log says why")


def _show(on_progress: Callable[[Progress], None], store: Store, until: Mapping[Partition, int]) -> None:
    """Progress, unless Redis can't be asked now: the workers wait for it or rebuild it, and so does whoever watches."""
    try:
        progress = _progress(store, until)
    except (StoreUnavailable, StateDirty) as error:
        log.info("progress_unknown", reason=error.reason)
    else:
        on_progress(progress)


def _patiently(ask: Callable[[], Result], seconds: float) -> Result:
    """What `ask` gives, also if Redis can't be reached for some `seconds`. A state left half done is no result."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _end(store: Store, until: Mapping[Partition, int]) -> Progress:
    _check_end(store)
    return _progress(store, until)


def _check_end(store: Store) -> None:
    """What the workers' exit statuses say, seen in the state itself."""
    ended = all(state.latest == END_OF_TIME for state in store.positions().sources.values())
    if not ended or store.closable() is not None:
        raise VigiliaError("the workers were stopped before everything was applied and closed")


def _progress(store: Store, until: Mapping[Partition, int]) -> Progress:
    applied = sum(state.next for state in store.positions().sources.values())
    counts = store.alert_counts()
    return Progress(sum(until.values()), applied, store.base().closed, store.counters(), counts["raised"])


def remove_namespace(monitor: Monitor, settings: Settings) -> None:
    """Delete what a bounded run made: its topics, its groups and its state in Redis."""
    names = [monitor.assessments_topic, settings.alerts_topic, control_topic(monitor)]
    if monitor.source_prefix:
        names += [monitor.on_broker(topic) for topic in monitor.topics]
    remove_topics(settings, names)
    try:
        # A member that went without leaving, as one killed does, holds its group until its session ends.
        remove_groups(settings, groups_named(settings, f"{monitor.name}."), settings.session_timeout_ms / 1000 + 5)
    except TransportError as error:  # empty groups go by themselves some day; the state would not
        log.info("groups_left", error=str(error))
    assert settings.redis_url is not None
    store = Store.connect(settings.redis_url.get_secret_value(), StoreSettings.of(monitor))
    store.wipe()
    store.close()
