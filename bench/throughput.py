"""Throughput from the source topic to applied counts, each beside a bare limit measured in the same run."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.rig import Rig, Watched
from inference.artefact import load_artefact
from inference.batcher import estimated_pieces
from inference.onnx import OnnxClassifier
from streams.assess.sentences import sentences_of
from streams.demo.notes import write_note
from streams.demo.vocabulary import draw_drug, draw_events, draw_patient
from streams.events import AdverseEvent, ClinicalNote, encode
from streams.intake.loader import Outgoing
from streams.transport import Topic, ensure_topics
from tests.lab import MONITOR, Lab, reports

CODED_MESSAGES = 120_000
NOTES = 700
BUDGET = 2048  # padded pieces of a batch, as the worker's batcher has it
BATCH = 1000

TEXT_MONITOR = MONITOR.replace('evidence = "coded"', 'evidence = "text"')


@dataclass(frozen=True)
class Throughput:
    """Items a second of the worker and of the bare limit, and the worker's CPU and memory."""

    unit: str
    items: int
    worker: float
    bare: float
    cpu_us: float
    peak_rss: int

    @property
    def ratio(self) -> float:
        return self.worker / self.bare


# ---------------------------------------------------------------- coded reports, no model


def coded(rig: Rig, messages: int = CODED_MESSAGES) -> Throughput:
    """Coded reports: both stages in one worker, against consume + decode + produce."""
    lab = rig.lab("coded", MONITOR)
    lab.load(reports(messages, lab.topic, days=30))
    bare = bare_loop(lab, messages)
    with lab.worker() as process:
        watched = Watched(lab, process.pid)
        watched.until(messages)
    begin, end = watched.steady()
    done = end.applied - begin.applied
    rate = done / (end.at - begin.at)
    return Throughput("messages/s", messages, rate, bare, (end.cpu - begin.cpu) / done * 1e6, watched.peak_rss)


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


def with_model(rig: Rig, notes: int = NOTES) -> Throughput:
    """Clinical notes: sentences a second through the worker, against onnxruntime alone on the same sentences."""
    lab = rig.lab("text", TEXT_MONITOR)
    texts = made_up_notes(notes)
    sentences = [sentence for text in texts for sentence in map(str, sentences_of(text))]
    lab.load(
        Outgoing(lab.topic, f"n{n}".encode(), encode(ClinicalNote(f"n{n}", text, received_at=1_700_000_000_000)))
        for n, text in enumerate(texts)
    )
    bare = bare_onnx(sentences)
    with lab.worker() as process:
        watched = Watched(lab, process.pid)
        watched.until(notes)
    begin, end = watched.steady()
    done = (end.applied - begin.applied) / notes * len(sentences)
    rate = done / (end.at - begin.at)
    return Throughput("sentences/s", len(sentences), rate, bare, (end.cpu - begin.cpu) / done * 1e6, watched.peak_rss)


def made_up_notes(number: int, seed: int = 5) -> list[str]:
    """Notes of the demo's kind, several of its sentences each."""
    chance = random.Random(seed)
    texts = []
    for _ in range(number):
        patient = draw_patient(chance)
        drug, events = draw_drug(chance, patient), draw_events(chance, patient, 4)
        texts.append(write_note(chance, drug, events[0], events[1:]).text)
    return texts


def bare_onnx(sentences: Sequence[str]) -> float:
    """Sentences a second of `InferenceSession.run` alone, on arrays made beforehand with the worker's batches."""
    classifier = OnnxClassifier(load_artefact(None), threads=1)
    session: Any = classifier._session  # noqa: SLF001 - the bare limit is this object's run()
    inputs: list[dict[str, np.ndarray]] = []

    class Recorder:
        def run(self, names: list[str], arrays: dict[str, np.ndarray]) -> Any:
            inputs.append(arrays)
            return session.run(names, arrays)

    classifier._session = Recorder()  # noqa: SLF001
    group: list[str] = []
    pieces = 0
    for sentence in [*sentences, None]:
        size = estimated_pieces(sentence) if sentence is not None else BUDGET + 1
        if group and pieces + size > BUDGET:
            classifier.classify(group)
            group, pieces = [], 0
        if sentence is not None:
            group.append(sentence)
            pieces += size
    begun = time.monotonic()
    for arrays in inputs:
        session.run(["sentence", "drug", "effect"], arrays)
    return len(sentences) / (time.monotonic() - begun)


def today() -> str:
    """The day of the run."""
    return date.today().isoformat()
