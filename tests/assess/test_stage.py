"""The assess stage on a real Kafka: every source offset gives exactly one record, in order, whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError, Producer

from inference.classifier import Pair, Reading, TextSpan
from streams.assess.assessor import Assessor
from streams.assess.stage import AssessStage
from streams.errors import TopicMissing, Unavailable, WrongModel
from streams.events import (
    END_OF_TIME,
    AdverseEvent,
    Assessment,
    ClinicalNote,
    DeadLetter,
    Gap,
    Patient,
    Product,
    Tick,
    decode_record,
)
from streams.monitors import Monitor, Source
from streams.transport import Sink, extents

pytestmark = pytest.mark.kafka

NOW = int(time.time() * 1000)


def report(number: int, **fields: Any) -> bytes:
    event = AdverseEvent(
        case_id=f"C{number}",
        products=[Product("aspirin")],
        events=["Nausea", "Rash"],
        received_at=NOW - 86_400_000 + number,
        patient=Patient(age_years=40.0, sex="F"),
    )
    return msgspec.json.encode(msgspec.structs.replace(event, **fields))


def note(number: int, text: str) -> bytes:
    return msgspec.json.encode(ClinicalNote(case_id=f"N{number}", text=text, received_at=NOW - 1000))


class Bench:
    """A monitor with topics of its own, and stages that run on them."""

    def __init__(self, log: Any, unique: Callable[[str], str], partitions: int = 1, **monitor: Any) -> None:
        self.log = log
        self.topic = log.create(unique("reports"), partitions)
        self.monitor = Monitor(
            name=unique("stage"), sources=(Source(topic=self.topic, partitions=partitions),), **monitor
        )
        log.create(self.monitor.assessments_topic, partitions)

    def ends(self) -> dict[tuple[str, int], int]:
        found = extents(self.log.config, [(self.topic, p) for p in range(self.monitor.assessments_partitions)])
        return {source: extent.high for source, extent in found.items()}

    def stage(self, sink: Sink, **options: Any) -> AssessStage:
        return AssessStage(self.monitor, Assessor(self.monitor, b"key"), sink, **options)

    async def burst(self, sink: Sink | None = None, **options: Any) -> AssessStage:
        """Assess everything that is there now."""
        sink = sink or Sink(self.log.config)
        until = await asyncio.to_thread(self.ends)
        stage = self.stage(sink, until=until, **options)
        await asyncio.wait_for(stage.run(stage.connect(self.log.config, session_ms=1500)), 60)
        await sink.close()
        return stage

    def records(self, partition: int = 0) -> list[Any]:
        return [decode_record(message.value()) for message in self.log.read(self.monitor.assessments_topic, partition)]

    def chain(self, partition: int = 0) -> list[Any]:
        """The records that detect applies, by its own rule; fails if one is missing."""
        following, applied = 0, []
        for record in self.records(partition):
            if isinstance(record, Tick):
                if record.at == following:
                    applied.append(record)
            elif record.lo <= following <= record.offset:
                applied.append(record)
                following = record.offset + 1
        return applied


def offsets(records: Sequence[Any]) -> list[int]:
    return [record.offset for record in records if not isinstance(record, Tick)]


@pytest.fixture
def bench(kafka_log: Any, unique: Callable[[str], str]) -> Callable[..., Bench]:
    return lambda **options: Bench(kafka_log, unique, **options)


def test_every_offset_gives_one_record_in_order_and_an_end_tick(bench: Callable[..., Bench]) -> None:
    b = bench(partitions=2)
    bad = b"not json"
    b.log.write(b.topic, [report(0), bad, report(2)], 0)
    b.log.write(b.topic, [report(i) for i in range(2500)], 1)
    stage = asyncio.run(b.burst())
    first = b.records(0)
    assert [type(record) for record in first] == [Assessment, DeadLetter, Assessment, Tick]
    assert first[1].reason == "unreadable"
    assert first[3] == Tick(b.topic, 0, 3, END_OF_TIME)
    second = b.records(1)
    assert offsets(second) == list(range(2500))
    assert [record.lo for record in second[:-1]] == list(range(2500))
    assert second[-1] == Tick(b.topic, 1, 2500, END_OF_TIME)
    assert stage.outcomes == {"assessed": 2502, "dead_letter:unreadable": 1}
    assert b.log.committed(stage.group, b.topic, 1) == 2500


def test_a_second_run_goes_on_behind_the_first(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.log.write(b.topic, [report(i) for i in range(5)])
    asyncio.run(b.burst())
    b.log.write(b.topic, [report(i) for i in range(5, 9)])
    asyncio.run(b.burst())
    assert offsets(b.records()) == list(range(9))
    assert [record.at for record in b.records() if isinstance(record, Tick)] == [5, 9]


def test_messages_behind_the_end_of_a_burst_are_left(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.log.write(b.topic, [report(i) for i in range(9)])

    async def burst() -> None:
        sink = Sink(b.log.config)
        stage = b.stage(sink, until={(b.topic, 0): 4})
        await asyncio.wait_for(stage.run(stage.connect(b.log.config)), 60)
        await sink.close()

    asyncio.run(burst())
    assert offsets(b.records()) == [0, 1, 2, 3]
    assert b.records()[-1] == Tick(b.topic, 0, 4, END_OF_TIME)


def test_an_empty_partition_gets_its_end_tick(bench: Callable[..., Bench]) -> None:
    b = bench()
    asyncio.run(b.burst())
    assert b.records() == [Tick(b.topic, 0, 0, END_OF_TIME)]


class FailingProducer:
    """A real producer whose n-th hand-over is reported as failed, and is not sent."""

    def __init__(self, config: dict[str, Any], failing: set[int]) -> None:
        self._producer = Producer(config)
        self._failing = failing
        self._count = -1

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, report: Callable[..., None]) -> None:
        self._count += 1
        if self._count in self._failing:
            report(KafkaError(KafkaError._MSG_TIMED_OUT), None)
        else:
            self._producer.produce(topic, value, key, partition, report)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def __len__(self) -> int:
        return len(self._producer)


@pytest.mark.parametrize("failing", [{0}, {3}, {2500, 4100, 9000}])
def test_after_a_failed_delivery_nothing_is_missing_from_the_chain(
    bench: Callable[..., Bench], failing: set[int]
) -> None:
    """The failed record leaves a hole that later ones jump; detect ignores those, and all of them come again."""
    b = bench()
    b.log.write(b.topic, [report(i) for i in range(5000)])

    async def burst() -> AssessStage:
        return await b.burst(Sink(b.log.config, make_producer=lambda config: FailingProducer(config, failing)))

    stage = asyncio.run(burst())
    assert stage.outcomes["rewound"] >= 1
    assert offsets(b.chain()) == list(range(5000))
    assert b.chain()[-1] == Tick(b.topic, 0, 5000, END_OF_TIME)
    assert len(b.records()) > 5001 or failing == {0}
    assert b.log.committed(stage.group, b.topic) == 5000


class SilentProducer(FailingProducer):
    """A real producer that sends all and never reports on one of them."""

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, report: Callable[..., None]) -> None:
        self._count += 1
        if self._count in self._failing:
            report = lambda *_: None  # noqa: E731
        self._producer.produce(topic, value, key, partition, report)


def test_nothing_is_committed_before_its_delivery_is_reported(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.log.write(b.topic, [report(i) for i in range(1000)])

    async def run() -> AssessStage:
        sink = Sink(b.log.config, make_producer=lambda config: SilentProducer(config, {450}))
        stage = b.stage(sink, settle_seconds=1)
        running = asyncio.create_task(stage.run(stage.connect(b.log.config, batch_messages=100, linger_seconds=0.0)))
        while stage.outcomes["assessed"] < 1000:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        stage.stop()
        await asyncio.wait_for(running, 30)
        await sink.close(seconds=0.1)
        return stage

    stage = asyncio.run(run())
    assert len(b.records()) == 1000
    assert b.log.committed(stage.group, b.topic) <= 450


def test_offsets_deleted_before_the_first_start_are_a_gap(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.log.write(b.topic, [report(i) for i in range(10)])
    b.log.delete_before(b.topic, 0, 4)
    asyncio.run(b.burst())
    assert b.records()[0] == Gap(b.topic, 0, 0, 3)
    assert offsets(b.records()) == [3, *range(4, 10)]


def test_offsets_deleted_while_nobody_read_are_a_gap(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.log.write(b.topic, [report(i) for i in range(5)])
    asyncio.run(b.burst())
    b.log.write(b.topic, [report(i) for i in range(5, 12)])
    b.log.delete_before(b.topic, 0, 12)
    asyncio.run(b.burst())
    assert [r for r in b.records() if isinstance(r, Gap)] == [Gap(b.topic, 0, 5, 11)]
    assert b.records()[-1] == Tick(b.topic, 0, 12, END_OF_TIME)


def test_a_partition_that_the_monitor_does_not_list_stops_the_stage(
    kafka_log: Any, unique: Callable[[str], str]
) -> None:
    topic = kafka_log.create(unique("grown"), 2)
    monitor = Monitor(name=unique("grown"), sources=(Source(topic=topic, partitions=1),))
    kafka_log.create(monitor.assessments_topic, 1)
    kafka_log.write(topic, [report(1)], 1)

    async def run() -> None:
        sink = Sink(kafka_log.config)
        stage = AssessStage(monitor, Assessor(monitor, b"key"), sink)
        try:
            await asyncio.wait_for(stage.run(stage.connect(kafka_log.config)), 30)
        finally:
            await sink.close()

    with pytest.raises(TopicMissing, match="partition 1 that the monitor"):
        asyncio.run(run())


def test_clock_ticks_come_for_quiet_partitions_of_live_topics_once_a_bucket(
    kafka_log: Any, unique: Callable[[str], str]
) -> None:
    live, batch = kafka_log.create(unique("live")), kafka_log.create(unique("batch"))
    monitor = Monitor(
        name=unique("ticks"),
        sources=(Source(topic=live, live=True), Source(topic=batch)),
        bucket_ms=1000,
        disorder_ms=0,
    )
    kafka_log.create(monitor.assessments_topic)
    for topic in (live, batch):
        kafka_log.write(topic, [report(1)])
    clock = iter([5_000, 5_500, 6_000, *range(7_000, 1_000_000, 1000)])

    async def run() -> None:
        sink = Sink(kafka_log.config)
        stage = AssessStage(monitor, Assessor(monitor, b"key"), sink, tick_seconds=0.05, now=lambda: next(clock))
        running = asyncio.create_task(stage.run(stage.connect(kafka_log.config)))
        while stage.outcomes["tick"] < 4:
            await asyncio.sleep(0.05)
        stage.stop()
        await asyncio.wait_for(running, 30)
        await sink.close()

    asyncio.run(run())
    records = [decode_record(message.value()) for message in kafka_log.read(monitor.assessments_topic)]
    ticks = [record for record in records if isinstance(record, Tick)]
    assert {tick.topic for tick in ticks} == {live}
    assert {tick.at for tick in ticks} == {1}
    buckets = [tick.received_at // 1000 for tick in ticks]
    assert buckets == sorted(set(buckets))


# ---------------------------------------------------------------- texts


class FakeReader:
    """Reads "X caused Y" and takes its time; fails as it is told."""

    def __init__(self) -> None:
        self.outages = 0
        self.calls = 0
        self.topics: set[str] = set()

    async def classify(self, sentences: Sequence[str], topic: str) -> list[Reading]:
        self.calls += 1
        self.topics.add(topic)
        if any("wrong" in sentence for sentence in sentences):
            raise WrongModel("the model was replaced")
        if self.outages > 0:
            self.outages -= 1
            raise Unavailable("no classifier")
        await asyncio.sleep(0.02 if self.calls % 3 == 0 else 0.001)  # finish out of order
        return [self._read(sentence) for sentence in sentences]

    @staticmethod
    def _read(sentence: str) -> Reading:
        drug, found, effect = sentence.rstrip(".").partition(" caused ")
        if not found:
            return Reading(0.01)
        at = len(drug) + len(found)
        spans = (TextSpan(0, len(drug), drug),), (TextSpan(at, at + len(effect), effect),)
        return Reading(0.9, *spans, (Pair(0, 0, 0.9),))


def test_texts_finish_in_any_order_and_leave_in_theirs(bench: Callable[..., Bench]) -> None:
    b = bench(evidence="both")
    b.log.write(
        b.topic,
        [note(i, f"Aspirin caused rash{i}.") if i % 3 else report(i, narrative="Nothing.") for i in range(200)],
    )
    reader = FakeReader()
    asyncio.run(b.burst(reader=reader, model="fake@0"))
    records = b.records()[:-1]
    assert reader.topics == {records[0].topic}  # whose turn each sentence uses up
    assert offsets(records) == list(range(200))
    assert records[1].drugs == ["aspirin"]
    assert records[1].events == ["rash1"]
    assert records[1].scores == [900_000]
    assert records[1].model == "fake@0"
    assert records[0].events == ["nausea", "rash"]
    assert records[0].pairs is None


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


def test_a_classifier_that_is_away_is_waited_for(bench: Callable[..., Bench]) -> None:
    b = bench(evidence="text")
    b.log.write(b.topic, [note(i, "Aspirin caused rash.") for i in range(50)])
    reader = FakeReader()
    reader.outages = 70
    asyncio.run(b.burst(reader=reader, model="fake@0", pause=no_pause))
    assert [type(record) for record in b.records()] == [Assessment] * 50 + [Tick]


def test_a_wrong_model_stops_the_stage(bench: Callable[..., Bench]) -> None:
    b = bench(evidence="text")
    b.log.write(b.topic, [note(1, "Aspirin caused rash."), note(2, "wrong")])
    with pytest.raises(WrongModel):
        asyncio.run(b.burst(reader=FakeReader(), model="fake@0"))
    assert DeadLetter not in {type(record) for record in b.records()}


def test_an_assessment_too_large_for_kafka_is_a_dead_letter(bench: Callable[..., Bench]) -> None:
    """500 products x 1,000 events and one pair read in the text: each pair is spelled out, 8 MB of them."""
    b = bench(evidence="both")
    large = {
        "products": [Product(f"product {i}") for i in range(500)],
        "events": [f"event {i}" for i in range(1000)],
        "narrative": "Aspirin caused rash.",
    }
    b.log.write(b.topic, [report(0), report(1, **large), report(2)])
    asyncio.run(b.burst(reader=FakeReader(), model="fake@0"))
    assert [type(record) for record in b.records()] == [Assessment, DeadLetter, Assessment, Tick]
    assert b.records()[1].reason == "too_large"


def test_a_worker_without_a_partition_ends_when_all_is_done(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.log.write(b.topic, [report(i) for i in range(100)])

    async def run() -> list[AssessStage]:
        return list(await asyncio.gather(b.burst(), b.burst(), b.burst()))

    stages = asyncio.run(run())
    assert all(stage.finished.is_set() for stage in stages)
    assert offsets(b.chain()) == list(range(100))


def test_transaction_markers_leave_no_hole(bench: Callable[..., Bench], unique: Callable[[str], str]) -> None:
    """Offsets 2 and 5 are markers, 6 and 7 were aborted: a record covers what no message has."""
    b = bench()
    producer = Producer({**b.log.config, "transactional.id": unique("t")})
    producer.init_transactions(30)
    for numbers, commit in (((0, 1), True), ((3, 4), True), ((6, 7), False)):
        producer.begin_transaction()
        for number in numbers:
            producer.produce(b.topic, report(number), partition=0)
        producer.flush()
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
    asyncio.run(b.burst())
    records = b.records()
    assert [(record.lo, record.offset) for record in records[:-1]] == [(0, 0), (1, 1), (2, 3), (4, 4)]
    assert records[-1] == Tick(b.topic, 0, 5, END_OF_TIME)
    b.log.write(b.topic, [report(9)])
    asyncio.run(b.burst())
    assert [(record.lo, record.offset) for record in b.chain() if isinstance(record, Assessment)][-1] == (5, 9)


def test_without_end_ticks_what_holds_nothing_to_read_at_the_end_is_covered(
    bench: Callable[..., Bench], unique: Callable[[str], str]
) -> None:
    """A detect stage that waits for the end offset would wait for ever for the marker at offset 1."""
    b = bench()
    producer = Producer({**b.log.config, "transactional.id": unique("t")})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(b.topic, report(0), partition=0)
    producer.commit_transaction(30)
    asyncio.run(b.burst(end_ticks=False))
    first, last = b.records()
    assert (first.lo, first.offset) == (0, 0)
    assert last == Gap(b.topic, 0, 1, 1)
