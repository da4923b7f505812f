"""Puts a worker together: which stages, with what they need, until when."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from typing import Literal

from inference.first_stage import first_stage_of
from streams.errors import ConfigurationError
from streams.monitors import Monitor
from streams.settings import Settings
from streams.terms.translate import vocabulary_version
from streams.transport import Partition, Sink
from streams.worker.app import Stage, run_worker
from streams.worker.assessing import Assessing
from streams.worker.classifier import open_classifier
from streams.worker.detecting import Detecting
from streams.worker.detection import Detection

__all__ = ["Only", "share_cores", "work"]

Only = Literal["assess", "detect"]

SWITCH_SECONDS = 0.0005  # the model's thread waits that long for the interpreter after each run, not 5 ms
GC_ALLOCATIONS = 50_000  # a batch makes some ten thousand objects, none of them in a cycle


def share_cores() -> None:
    """Have this process's threads leave the model alone: none keeps the interpreter for long, and the tokenizer has no
    threads of its own, which would take the core that the model is on."""
    sys.setswitchinterval(SWITCH_SECONDS)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def work(
    monitor: Monitor,
    settings: Settings,
    *,
    only: Only | None = None,
    until: Mapping[Partition, int] | None = None,
    end_ticks: bool = True,
) -> int:
    """Run one worker in this process; its exit status. `until`: end offsets of the source partitions on the broker.

    Without `end_ticks` a bounded run leaves the last buckets open, as a live run does.
    Raises ConfigurationError and WrongModel before anything is started.
    """
    sink = Sink(settings.kafka())
    stages: list[Stage] = []
    classifier = open_classifier(settings, patient=True) if monitor.reads_text and only != "detect" else None
    try:
        if only != "detect":
            stages.append(
                Assessing(
                    monitor,
                    settings,
                    sink,
                    classifier=classifier,
                    first_stage=first_stage_of(classifier.artefact) if classifier else None,
                    until=until,
                    end_ticks=end_ticks,
                )
            )
        if only != "assess":
            stages.append(detecting(monitor, settings, sink, until=until, end_ticks=end_ticks))
        # What start-up made stays: the collector need not walk it again and again.
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS, 20, 50)
        share_cores()
        return run_worker(monitor, settings, stages, sink, bounded=until is not None)
    finally:
        if classifier is not None:
            classifier.close()


def detecting(
    monitor: Monitor,
    settings: Settings,
    sink: Sink,
    *,
    until: Mapping[Partition, int] | None = None,
    end_ticks: bool = True,
) -> Detecting:
    """The detect stage. Raises ConfigurationError without a Redis."""
    if settings.redis_url is None:
        raise ConfigurationError("no Redis: set VIGILIA_REDIS_URL, for example redis://127.0.0.1:6379/0")
    names = {monitor.on_broker(topic): topic for topic in monitor.topics}
    detection = Detection(
        monitor,
        settings.redis_url.get_secret_value(),
        vocabulary=vocabulary_version(monitor),
        until=None if until is None else {(names[topic], number): end for (topic, number), end in until.items()},
        end_ticks=end_ticks,
    )
    return Detecting(monitor, settings, detection, sink)
