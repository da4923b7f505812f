"""A stream of notes through a worker whose classifier is a real Triton server that a test may break."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streams.events import ClinicalNote, encode
from streams.intake.loader import Outgoing
from tests.lab import DAY_MS, FIRST_DAY, Lab
from tests.triton_models import POISON

NAME = "adverse_event"
QUIET_SECONDS = 1.5  # nothing applied for so long: what was in hand is through
PATIENCE = 400.0  # seconds, on a machine that does other things too
MONITOR = """
name = "{name}"
evidence = "text"

[[sources]]
topic = "{name}-notes"
partitions = {partitions}

[text]
first_stage = false

[alarms]
pairs = 5000
buckets_per_year = 365
burn_in_days = 20
"""
DRUGS = ("clozapine", "lisinopril", "ketoconazole", "amoxicillin", "warfarin", "metformin", "carbamazepine")
EFFECTS = ("neutropenia", "a dry cough", "acute hepatitis", "a rash", "gastric bleeding", "dizziness", "hyponatremia")


def notes(topic: str, *, seed: int = 1, poisoned: float = 0.0) -> Iterator[Outgoing]:
    """Notes without end, in order of days, no two alike; a share of them holds a sentence that is poison."""
    chance = random.Random(seed)
    number = 0
    while True:
        drug, effect, age = chance.choice(DRUGS), chance.choice(EFFECTS), chance.randint(1, 99)
        text = f"Patient {number}, aged {age}, was seen. She developed {effect} {number % 29} days after {drug}."
        if chance.random() < poisoned:
            text += f" The {POISON} was noted at {age}."
        note = ClinicalNote(f"note-{number}", text, received_at=(FIRST_DAY + number // 40) * DAY_MS)
        yield Outgoing(topic, str(number).encode(), encode(note))
        number += 1


class Stream:
    """A lab, a running worker and a loader: `sent` notes so far; see `running`."""

    def __init__(self, lab: Lab, server: Any, poisoned: float = 0.0) -> None:
        self.lab, self.server = lab, server
        self.sent = 0
        self._over = threading.Event()
        self._poisoned = poisoned
        self._worker: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self, a_second: float) -> Iterator[Stream]:
        """A worker, and `a_second` notes until the block ends; then waits until all are applied, and ends it."""
        loading = threading.Thread(target=self._load, args=(a_second,))
        with self.lab.worker() as worker:
            self._worker = worker
            loading.start()
            try:
                self.lab.wait_until(lambda: self.lab.applied() > 0, PATIENCE)
                yield self
            finally:
                self._over.set()
                loading.join()
            self.lab.wait_until(lambda: self.lab.applied() == self.sent, PATIENCE)
            assert worker.poll() is None, self.lab.logs()
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0, self.lab.logs()

    def _load(self, a_second: float) -> None:
        self.lab.load(self._paced(a_second))

    def _paced(self, a_second: float) -> Iterator[Outgoing]:
        stream = notes(self.lab.topic, poisoned=self._poisoned)
        begun = time.monotonic()
        while not self._over.wait(max(0.0, begun + self.sent / a_second - time.monotonic())):
            self.sent += 1
            yield next(stream)

    def settled(self) -> int:
        """Wait until nothing is applied any more, as the server is away; what is applied."""
        applied, since = self.lab.applied(), time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.1)
            if (now := self.lab.applied()) != applied:
                applied, since = now, time.monotonic()
        return applied

    def recovery(self, bring_back: Callable[[], Any]) -> float:
        """Bring the server back; seconds from then until a message is applied that was not before."""
        before = self.settled()
        bring_back()
        since = time.monotonic()
        self.lab.wait_until(lambda: self.lab.applied() > before, 60)
        return time.monotonic() - since


@contextmanager
def classified_by(server: Any, model: Path | None = None, **settings: str) -> Iterator[None]:
    """Workers started within ask this server."""
    wanted = {"VIGILIA_TRITON_URLS": server.grpc, "VIGILIA_SENTENCE_CACHE": "0"} | settings
    if model is not None:
        wanted["VIGILIA_MODEL_FOLDER"] = str(model)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
