"""What Triton does must lose no message: `python -m bench.triton_faults` (`make faults`).

Notes stream through a worker on a real Kafka and a real Triton server while that is killed, frozen, flooded, poisoned
or given a new version. Each run ends in `vigilia audit`; the exit status is 1 if a server's return was felt after 5 s
or later. `--only NAME` runs one, `--page` writes docs/results/triton.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from inference.artefact import load_artefact, shipped_folder
from inference.graph import Batch
from inference.triton.connection import Connection, Question, Tls, address_of
from inference.triton.repository import Repository
from streams.commands.output import print_table
from streams.errors import Overloaded, VigiliaError
from streams.state.server import RedisServer
from tests.lab import Lab, make_lab
from tests.triton_lab import MONITOR, NAME, Stream, classified_by, notes
from tests.triton_models import POISON, other_artefact, serve_as
from tests.triton_models import poisoned as poisoned_artefact
from tools.kafka import Broker
from tools.triton import Server
from training.provenance import commit, machine

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "triton.md"
A_SECOND = 8.0  # notes: a machine with other work carries them, too
KILLS = 5
FROZEN_SECONDS = 30.0
FLOOD_SECONDS = 20.0
MOST_AT_ONCE = 8  # requests that the flooded server lets wait
POISONED = 0.01
POISON_SECONDS = 40.0


@dataclass
class Found:
    """What a run showed. `recoveries`: seconds from the server's return to the next message applied."""

    messages: int = 0
    recoveries: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    audit: dict[str, Any] = field(default_factory=dict)


@dataclass
class Place:
    """What a run has to itself: a folder, Kafka, Redis, and the module of the server."""

    folder: Path
    kafka: str
    redis: str

    def lab(self, name: str) -> Lab:
        """A monitor of its own."""
        unique = f"{name}-{os.getpid()}-{os.urandom(3).hex()}"
        return make_lab(self.folder, unique, self.kafka, self.redis, partitions=2, text=MONITOR)


def killed(place: Place) -> Found:
    """kill -9 of the server, five times, each away for some seconds."""
    found = Found()
    lab = place.lab("killed")
    with Server() as server, classified_by(server):
        stream = Stream(lab, server)
        with stream.running(A_SECOND):
            for _ in range(KILLS):
                time.sleep(3)
                server.kill()
                found.recoveries.append(stream.recovery(server.start))
    return ended(found, lab, stream)


def backend_killed(place: Place) -> Found:
    """kill -9 of the backend's process: the server stays up, says it is ready, and answers nothing."""
    found = Found()
    lab = place.lab("backend")
    with Server() as server, classified_by(server):
        stream = Stream(lab, server)
        with stream.running(A_SECOND):
            time.sleep(3)
            server.kill_backend()
            stream.settled()
            assert server.is_ready()
            found.remarks.append("the server said it was ready all the time")
            found.recoveries.append(stream.recovery(server.restart))
    return ended(found, lab, stream)


def frozen(place: Place) -> Found:
    """SIGSTOP for half a minute: connections stay open and nothing answers."""
    found = Found()
    lab = place.lab("frozen")
    with Server() as server, classified_by(server):
        stream = Stream(lab, server)
        with stream.running(A_SECOND):
            time.sleep(3)
            server.pause()
            time.sleep(FROZEN_SECONDS)
            found.recoveries.append(stream.recovery(server.resume))
    return ended(found, lab, stream)


def flooded(place: Place) -> Found:
    """Another client sends ten times what the server can do, so that its queue is full."""
    found = Found()
    lab = place.lab("flooded")
    models = place.folder / "flooded"
    repository = Repository(models, NAME)
    repository.push(load_artefact(shipped_folder()))
    path = models / NAME / "configs" / "cpu.pbtxt"
    # Without it the queue has no end.
    queue = f"dynamic_batching {{ default_queue_policy {{ max_queue_size: {MOST_AT_ONCE} }} }}\n"
    path.write_text(path.read_text("utf-8") + queue, "utf-8")
    with Server(models) as server, classified_by(server):
        stream = Stream(lab, server)
        with stream.running(A_SECOND):
            time.sleep(3)
            asked, full = asyncio.run(_flood(server.grpc, FLOOD_SECONDS))
            before = lab.applied()
            since = time.monotonic()
            lab.wait_until(lambda: lab.applied() > before, 60)
            found.recoveries.append(time.monotonic() - since)
        found.remarks.append(f"the other client sent {asked} requests, {full} of them found the queue full")
    return ended(found, lab, stream)


async def _flood(address: str, seconds: float) -> tuple[int, int]:
    """(requests sent, refused for lack of room): ten times the server's rate, which is measured first."""
    connection = Connection(address_of(address), NAME, Tls())
    ids = np.full((16, 32), 7, dtype=np.int64)
    question = Question(Batch(ids, np.ones_like(ids), single=False))
    await connection.infer(question, "1", 60)
    began = time.monotonic()
    await asyncio.gather(*(connection.infer(question, "1", 60) for _ in range(MOST_AT_ONCE)))
    each = (time.monotonic() - began) / MOST_AT_ONCE
    refused = 0

    async def once() -> None:
        nonlocal refused
        try:
            await connection.infer(question, "1", 5)
        except Overloaded:
            refused += 1
        except VigiliaError:
            pass

    running, asked, end = set(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        task = asyncio.create_task(once())
        running.add(task)
        task.add_done_callback(running.discard)
        asked += 1
        await asyncio.sleep(each / 10)
    await asyncio.gather(*running)
    await connection.close()
    return asked, refused


def poisoned(place: Place) -> Found:
    """One note of a hundred holds a sentence that makes the graph fail, and whatever shares a batch with it."""
    found = Found()
    lab = place.lab("poisoned")
    artefact = poisoned_artefact(place.folder / "artefact").folder
    serve_as(place.folder / "poisoned", NAME, artefact=artefact)
    with Server(place.folder / "poisoned") as server, classified_by(server, artefact):
        stream = Stream(lab, server, POISONED)
        with stream.running(A_SECOND):
            time.sleep(POISON_SECONDS)
    with lab.store() as store:
        letters = {k: v for k, v in store.counters().items() if "poison" in k}
    wanted = poison_among(lab, stream.sent)
    found.remarks.append(f"{sum(letters.values())} dead letters, {wanted} notes that hold poison")
    assert sum(letters.values()) == wanted, letters
    return ended(found, lab, stream)


def poison_among(lab: Lab, sent: int) -> int:
    """How many of the first `sent` notes hold poison: an independent count of the same stream."""
    stream = islice(notes(lab.topic, poisoned=POISONED), sent)
    return sum(POISON.encode() in message.value for message in stream if message.value is not None)


def new_version(place: Place) -> Found:
    """A new version is pushed, loaded beside the old one and taken back while notes are read."""
    found = Found()
    lab = place.lab("version")
    models = place.folder / "versions"
    Repository(models, NAME).push(load_artefact(shipped_folder()))
    other = other_artefact(place.folder / "other" / NAME, threshold=0.5)
    with Server(models) as server, classified_by(server, VIGILIA_MODEL_REPOSITORY=str(models)):
        stream = Stream(lab, server)
        with stream.running(A_SECOND):
            for arguments in (["push", str(other)], ["load", "2"], ["rollback"]):
                time.sleep(3)
                before = lab.applied()
                command = [sys.executable, "-m", "streams", "model", *arguments]
                done = subprocess.run(command, env=lab.env, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
                lab.wait_until(lambda before=before: lab.applied() > before)
        found.remarks.append("version 2 loaded beside version 1, made current, taken back; the worker kept to its own")
    return ended(found, lab, stream)


RUNS: dict[str, Callable[[Place], Found]] = {
    "killed": killed,
    "backend-killed": backend_killed,
    "frozen": frozen,
    "flooded": flooded,
    "poisoned": poisoned,
    "new-version": new_version,
}


def ended(found: Found, lab: Lab, stream: Stream) -> Found:
    """The audit, which raises if it finds a difference."""
    found.messages = stream.sent
    found.audit = lab.audit()
    return found


def row(name: str, found: Found) -> tuple[str, ...]:
    """A line of the table."""
    recoveries = " ".join(f"{seconds:.1f}" for seconds in found.recoveries) or "-"
    lost, twice = found.audit["lost"], found.audit["counted_twice"]
    return name, str(found.messages), str(lost), str(twice), recoveries, "; ".join(found.remarks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=RUNS, action="append")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    rows = []
    kafka = os.environ.get("VIGILIA_TEST_KAFKA")
    broker = None if kafka else Broker().start()
    try:
        for name in options.only or RUNS:
            with tempfile.TemporaryDirectory(prefix="vigilia-faults-") as folder, RedisServer() as redis:
                place = Place(Path(folder), kafka or broker.bootstrap_servers, redis.url)
                print(f"{name}: {(RUNS[name].__doc__ or '').splitlines()[0]}", flush=True)
                found = RUNS[name](place)
            rows.append(row(name, found))
            print(
                json.dumps(
                    {
                        "run": name,
                        "messages": found.messages,
                        "recoveries": found.recoveries,
                        "remarks": found.remarks,
                        **{k: found.audit[k] for k in ("lost", "counted_twice")},
                    }
                ),
                flush=True,
            )
    finally:
        if broker is not None:
            broker.close()
    columns = ("run", ">messages", ">lost", ">counted twice", "back after, s", "besides")
    print_table(columns, rows)
    if options.page:
        write_page(rows)
    slow = [r[0] for r in rows if any(float(s) >= 5 for s in r[4].split() if s != "-")]
    if slow:
        print(f"slower than 5 s: {', '.join(slow)}")
    return 1 if slow else 0


def write_page(rows: list[tuple[str, ...]]) -> None:
    lines = PAGE.read_text("utf-8").split("<!-- rows -->")
    table = [
        "| run | messages | lost | counted twice | back after, s | besides |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(r)} |" for r in rows),
    ]
    stated = f"`make faults`, {time.strftime('%Y-%m-%d')}, commit {commit()}, {machine()}."
    PAGE.write_text("<!-- rows -->".join([lines[0], "\n" + "\n".join([stated, "", *table]) + "\n", lines[-1]]), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
