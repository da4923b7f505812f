"""Throughput from the source topic to applied counts, each beside a bare limit measured in the same run."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.rig import Rig, Watched
from inference.artefact import load_artefact
from inference.batching import MicroBatcher
from inference.classifier import Reading
from inference.onnx import OnnxClassifier
from streams.assess.reading import MOST_TEXTS
from streams.assess.sentences import sentences_of
from streams.demo.notes import write_note
from streams.demo.vocabulary import draw_drug, draw_events, draw_patient
from streams.events import AdverseEvent, ClinicalNote, encode
from streams.intake.loader import Outgoing
from streams.transport import Topic, ensure_topics
from tests.lab import MONITOR, Lab, reports

CODED_MESSAGES = 120_000
NOTES = 1500
ROUNDS = 3
NOTED = 1_700_000_000_000  # received_at of every note
BATCH = 1000

TEXT_MONITOR = (
    MONITOR.replace('evidence = "coded"', 'evidence = "text"')
    + """
[text]
first_stage = false
"""
)


@dataclass(frozen=True)
class Throughput:
    """Items a second of the worker and of the bare limit, their ratio, and the worker's CPU and memory."""

    unit: str
    items: int
    worker: float
    bare: float
    ratio: float
    cpu_us: float
    peak_rss: int


# ---------------------------------------------------------------- coded reports, no model


def coded(rig: Rig, messages: int = CODED_MESSAGES) -> Throughput:
    """Coded reports: both stages in one worker, against consume + decode + produce before and after it."""
    lab = rig.lab("coded", MONITOR)
    lab.load(reports(messages, lab.topic, days=30))
    before = bare_loop(lab, messages)
    with lab.worker() as process:
        watched = Watched(lab, process.pid)
        watched.until(messages)
    bare = (before + bare_loop(lab, messages)) / 2
    begin, end = watched.between(messages // 10, messages)
    done = end.applied - begin.applied
    rate, cpu_us = done / (end.at - begin.at), (end.cpu - begin.cpu) / done * 1e6
    return Throughput("messages/s", messages, rate, bare, rate / bare, cpu_us, watched.peak_rss)


def bare_loop(lab: Lab, messages: int) -> float:
    """Messages a second of the least that any such program does: consume, decode, produce; nothing is decided."""
    decode = msgspec.json.Decoder(AdverseEvent | ClinicalNote).decode
    consumer = Consumer({**lab.settings.kafka(), "group.id": "bare", "enable.auto.commit": False})
    producer = Producer({**lab.settings.kafka(), "acks": "all", "linger.ms": 2, "compression.type": "lz4"})
    consumer.assign([TopicPartition(lab.topic, p, 0) for p in range(lab.monitor.sources[0].partitions)])
    ensure_topics(lab.settings, [Topic(f"{lab.monitor.name}-bare", 2)])
    out, done, begun = f"{lab.monitor.name}-bare", 0, 0.0
    while done < messages:
        for message in consumer.consume(BATCH, 1.0):
            begun = begun or time.monotonic()
            report = decode(message.value())
            producer.produce(out, message.value(), report.case_id.encode())
            done += 1
        producer.poll(0)
    producer.flush()
    seconds = time.monotonic() - begun
    consumer.close()
    return messages / seconds


# ---------------------------------------------------------------- notes, with the model


def with_model(rig: Rig, rounds: int = ROUNDS, notes: int = NOTES) -> Throughput:
    """Clinical notes: sentences a second through the worker, against onnxruntime alone on the same sentences.

    First stage and cache are off: the worker has to read every sentence, as the limit does. The machine's speed drifts,
    so the two take turns: bare, worker, bare, ... The ratio is the median over the rounds of the worker's rate to the
    mean of the bare ones before and after it. The rate is taken between 15% and 90% of a round, where the worker has
    work all the time and as many notes are half read at the end as at the beginning (batches by length finish notes
    together; to the end of the round it would look 7% too fast). A first round warms both up and is not counted.
    """
    lab = rig.lab("text", TEXT_MONITOR)
    texts = made_up_notes(notes)
    split = [sentences_of(text) for text in texts]
    sentences = sum(map(len, split))
    limit = BareModel(formed(split))
    bare, rates, cpus = [limit.rate()], [], []
    with environment(VIGILIA_SENTENCE_CACHE="0"), lab.worker() as process:
        watched = Watched(lab, process.pid)
        for n in range(rounds + 1):
            lab.load(
                Outgoing(lab.topic, f"{n}-{i}".encode(), encode(ClinicalNote(f"{n}-{i}", text, received_at=NOTED)))
                for i, text in enumerate(texts)
            )
            watched.until((n + 1) * notes)
            begin, end = watched.between(n * notes + notes * 15 // 100, n * notes + notes * 90 // 100)
            done = (end.applied - begin.applied) / notes * sentences
            rates.append(done / (end.at - begin.at))
            cpus.append((end.cpu - begin.cpu) / done * 1e6)
            bare.append(limit.rate())
    bare, rates, cpus = bare[1:], rates[1:], cpus[1:]
    ratio = median(rate / ((bare[n] + bare[n + 1]) / 2) for n, rate in enumerate(rates))
    return Throughput(
        "sentences/s", rounds * sentences, median(rates), median(bare), ratio, median(cpus), watched.peak_rss
    )


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These environment variables for processes that start within the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def made_up_notes(number: int, seed: int = 5) -> list[str]:
    """Notes of the demo's kind, several of its sentences each."""
    chance = random.Random(seed)
    texts = []
    for _ in range(number):
        patient = draw_patient(chance)
        drug, events = draw_drug(chance, patient), draw_events(chance, patient, 4)
        texts.append(write_note(chance, drug, events[0], events[1:]).text)
    return texts


class BareModel:
    """`InferenceSession.run` alone, on arrays made beforehand with the worker's batches and lengths.

    `threads` runs go side by side, each on one core; `tokens` bounds the pieces of one, as it does the classifier's.
    Beside a classifier of this process it runs the same session, `shared`: where a session's weights happen to lie in
    memory makes it some hundredths faster or slower than its twin.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[str]],
        threads: int = 1,
        tokens: int = 512,
        *,
        shared: OnnxClassifier | None = None,
    ) -> None:
        classifier = OnnxClassifier(load_artefact(None), tokens=tokens)
        self._pool = ThreadPoolExecutor(threads)
        self._session: Any = (shared or classifier)._session  # noqa: SLF001 - the limit is this object's run()
        self._inputs: list[tuple[list[str], dict[str, np.ndarray]]] = []
        self._sentences = sum(map(len, batches))
        classifier._session = self  # noqa: SLF001 - so that `run` below sees the batches
        for batch in batches:
            classifier.classify(batch)

    def run(self, names: list[str], arrays: dict[str, np.ndarray]) -> Any:
        """Note a batch, in place of the session."""
        self._inputs.append((names, arrays))
        return self._session.run(names, arrays)

    def rate(self) -> float:
        """Sentences a second."""
        begun = time.monotonic()
        for _ in self._pool.map(lambda given: self._session.run(*given), self._inputs):
            pass
        return self._sentences / (time.monotonic() - begun)


class Recorder:
    """A classifier that only notes the batches it is given."""

    model = "recorder@0"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def classify(self, sentences: Sequence[str]) -> list[Reading]:
        self.batches.append(list(sentences))
        return [Reading(0.0)] * len(sentences)

    def close(self) -> None: ...


def formed(texts: Sequence[Sequence[str]]) -> list[list[str]]:
    """The batches that the worker's batcher makes of texts, as many waiting at once as in the worker."""
    recorder, turns = Recorder(), asyncio.Semaphore(MOST_TEXTS)

    async def read(batcher: MicroBatcher, text: Sequence[str]) -> None:
        async with turns:
            await batcher.classify(text)

    async def main() -> None:
        async with MicroBatcher(recorder) as batcher:
            await asyncio.gather(*(read(batcher, text) for text in texts))

    asyncio.run(main())
    return recorder.batches


def today() -> str:
    """The day of the run."""
    return date.today().isoformat()
