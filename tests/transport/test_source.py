"""The batch source on a real Kafka: positions, epochs, rebalances, backpressure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from streams.errors import StateConflict, TopicMissing
from streams.transport import Batch, BatchSource, Partition

pytestmark = pytest.mark.kafka
SESSION_MS = 1500


def values(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def read(log: Any, topic: str, group: str, work: Callable[[BatchSource], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        async with BatchSource(log.config, group, [topic], session_ms=SESSION_MS, **options) as source:
            return await asyncio.wait_for(work(source), 60)

    return asyncio.run(run())


async def until_end(source: BatchSource, partitions: int = 1) -> list[Batch]:
    batches, ends = [], set()
    while len(ends) < partitions:
        batch = await source.get()
        assert batch is not None
        batches.append(batch)
        if batch.end is not None:
            ends.add(batch.source)
    return batches


def offsets(batches: Sequence[Batch]) -> list[int]:
    return [message.offset() for batch in batches for message in batch.messages]


def test_batches_of_a_partition_join_without_a_hole(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("join"), 2)
    kafka_log.write(topic, values(2500), 0)
    kafka_log.write(topic, values(10), 1)
    batches = read(kafka_log, topic, unique("g"), lambda s: until_end(s, 2), batch_messages=300)
    for partition, count in ((0, 2500), (1, 10)):
        own = [batch for batch in batches if batch.partition == partition]
        assert offsets(own) == list(range(count))
        assert own[0].position == 0
        assert all(before.next == after.position for before, after in pairwise(own))
        assert own[-1].end == count


def test_the_owner_says_where_a_partition_begins(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("begin"))
    kafka_log.write(topic, values(10))

    async def starts(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 7)

    batches = read(kafka_log, topic, unique("g"), until_end, starts=starts)
    assert (batches[0].position, offsets(batches)) == (7, [7, 8, 9])


def test_what_the_owner_raises_on_assignment_comes_out_of_get(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("raise"))

    async def starts(_partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        raise StateConflict("no position")

    with pytest.raises(StateConflict, match="no position"):
        read(kafka_log, topic, unique("g"), until_end, starts=starts)


def test_commits_with_metadata_are_where_the_next_member_begins(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic, group = kafka_log.create(unique("commit")), unique("g")
    kafka_log.write(topic, values(10))

    async def commit(source: BatchSource) -> None:
        await until_end(source)
        source.commit({(topic, 0): 6}, "note")
        while await source.committed([(topic, 0)]) != {(topic, 0): (6, "note")}:
            await asyncio.sleep(0.02)

    read(kafka_log, topic, group, commit)
    assert offsets(read(kafka_log, topic, group, until_end)) == [6, 7, 8, 9]


def test_leaving_commits_what_the_owner_says(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic, group = kafka_log.create(unique("leave")), unique("g")
    kafka_log.write(topic, values(10))

    async def leaving(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 4)

    read(kafka_log, topic, group, until_end, leaving=leaving)
    assert kafka_log.committed(group, topic) == 4


def test_a_seek_voids_what_was_consumed_and_reads_on_from_there(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("seek"), 2)
    kafka_log.write(topic, values(1000), 0)
    kafka_log.write(topic, values(1000), 1)

    async def work(source: BatchSource) -> tuple[list[Batch], list[Batch]]:
        before = await until_end(source, 2)
        source.seek((topic, 0), 400)
        assert [source.current(batch) for batch in before] == [batch.partition == 1 for batch in before]
        after = await until_end(source)
        return before, after

    for _ in range(3):
        before, after = read(kafka_log, topic, unique("g"), work, batch_messages=200)
        assert sorted(offsets(before)) == sorted([*range(1000), *range(1000)])
        assert after[0].position == 400
        assert offsets(after) == list(range(400, 1000))


def test_seeks_under_load_never_skip_a_message(kafka_log: Any, unique: Callable[[str], str]) -> None:
    """Whatever is in the queue, in librdkafka's or under way when the owner seeks: the next batch begins there."""
    topic = kafka_log.create(unique("load"))
    kafka_log.write(topic, values(20_000))

    async def work(source: BatchSource) -> int:
        expected, seeks = 0, 0
        while expected < 20_000:
            batch = await source.get()
            assert batch is not None
            assert batch.position == expected
            numbers = [message.offset() for message in batch.messages]
            assert numbers == list(range(expected, expected + len(numbers)))
            expected = batch.next
            if seeks < 25 and expected > 700 * (seeks + 1):
                seeks += 1
                expected -= 311
                source.seek((topic, 0), expected)
        return seeks

    assert read(kafka_log, topic, unique("g"), work, batch_messages=100, queue_batches=3) == 25


def test_deleted_offsets_come_as_one_batch_without_messages(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("deleted"))
    kafka_log.write(topic, values(10))
    kafka_log.delete_before(topic, 0, 6)
    batches = read(kafka_log, topic, unique("g"), until_end)
    assert (batches[0].deleted, batches[0].position, batches[0].next, batches[0].messages) == (True, 0, 6, [])
    assert (batches[1].position, offsets(batches)) == (6, [6, 7, 8, 9])


def test_a_position_beyond_the_log_is_a_conflict(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("beyond"))
    kafka_log.write(topic, values(3))

    async def starts(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 5)

    with pytest.raises(StateConflict, match="offset 5, but its log ends at 3"):
        read(kafka_log, topic, unique("g"), until_end, starts=starts)


def test_a_topic_that_is_not_there_is_missing(kafka_log: Any, unique: Callable[[str], str]) -> None:
    with pytest.raises(TopicMissing):
        read(kafka_log, unique("nowhere"), unique("g"), until_end)


@pytest.mark.parametrize(("options", "most"), [({"queue_batches": 3}, 3), ({"queue_bytes": 300_000}, 7)])
def test_a_slow_owner_bounds_the_queue_and_keeps_the_partitions(
    kafka_log: Any, unique: Callable[[str], str], options: dict[str, int], most: int
) -> None:
    """The owner sleeps longer than the queue may be full and than the session lasts; nothing is lost or grows."""
    topic = kafka_log.create(unique("slow"))
    kafka_log.write(topic, [b"x" * 1000] * 5000)

    async def work(source: BatchSource) -> tuple[list[Batch], int]:
        batches, largest = [], 0
        for _ in range(4):
            batch = await source.get()
            assert batch is not None
            batches.append(batch)
            for _ in range(15):
                await asyncio.sleep(0.1)
                largest = max(largest, source.queued[0])
        return batches + await until_end(source), largest

    batches, largest = read(kafka_log, topic, unique("g"), work, batch_messages=50, **options)
    assert offsets(batches) == list(range(5000))
    assert largest <= most
    assert {batch.epoch for batch in batches} == {0}


def test_a_held_partition_brings_nothing_until_it_is_released(kafka_log: Any, unique: Callable[[str], str]) -> None:
    topic = kafka_log.create(unique("held"))
    kafka_log.write(topic, values(5))

    async def work(source: BatchSource) -> list[Batch]:
        await until_end(source)
        source.hold([(topic, 0)])
        await asyncio.sleep(0.5)
        await asyncio.to_thread(kafka_log.write, topic, values(5, 5))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source.get(), 1)
        source.hold([])
        return await until_end(source)

    assert offsets(read(kafka_log, topic, unique("g"), work)) == [5, 6, 7, 8, 9]


def test_a_paused_source_takes_nothing_stays_a_member_and_reads_on_from_where_it_was(
    kafka_log: Any, unique: Callable[[str], str]
) -> None:
    """Those partitions too that are assigned during the pause. The pause outlasts the session."""
    topic = kafka_log.create(unique("pause"), 2)
    kafka_log.write(topic, values(5), 0)
    kafka_log.write(topic, values(5), 1)

    async def work(source: BatchSource) -> list[Batch]:
        source.pause()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source.get(), 2 * SESSION_MS / 1000)
        assert source.paused
        source.resume()
        first = await until_end(source, 2)
        source.pause()
        await asyncio.sleep(0.5)
        ours = source.assigned
        await asyncio.to_thread(kafka_log.write, topic, values(5, 5))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source.get(), 2 * SESSION_MS / 1000)
        assert source.assigned == ours
        assert len(ours) == 2
        source.resume()
        again = await until_end(source)
        assert {batch.epoch for batch in again} == {0}
        return first + again

    batches = read(kafka_log, topic, unique("g"), work)
    assert sorted(offsets([batch for batch in batches if batch.partition == 0])) == list(range(10))


# ---------------------------------------------------------------- rebalances


class Reader:
    """A worker that takes its time, counts what it did with a batch that is still current, and then commits it."""

    def __init__(self, log: Any, topic: str, group: str, done: dict[Partition, list[int]]) -> None:
        self.positions: dict[Partition, int] = {}
        self.done = done
        self.source = BatchSource(
            log.config, group, [topic], leaving=self.leaving, batch_messages=50, session_ms=SESSION_MS
        )

    async def leaving(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return {p: self.positions.pop(p) for p in partitions if p in self.positions}

    async def run(self) -> None:
        while (batch := await self.source.get()) is not None:
            await asyncio.sleep(0.01)
            if self.source.current(batch):
                self.done.setdefault(batch.source, []).extend(message.offset() for message in batch.messages)
                self.positions[batch.source] = batch.next
                self.source.commit({batch.source: batch.next})


@asynccontextmanager
async def running(reader: Reader) -> AsyncIterator[None]:
    async with reader.source:
        task = asyncio.create_task(reader.run())
        yield
    await task


def test_no_message_is_lost_while_members_come_and_go(kafka_log: Any, unique: Callable[[str], str]) -> None:
    """1 -> 2 -> 3 -> 2 -> 1 members. What is committed and not current any more is done again, never left out."""
    topic, group, each = kafka_log.create(unique("rebalance"), 6), unique("g"), 6000
    for partition in range(6):
        kafka_log.write(topic, values(each), partition)
    done: dict[Partition, list[int]] = {}

    async def run() -> None:
        def reader() -> Reader:
            return Reader(kafka_log, topic, group, done)

        async with running(reader()):
            await asyncio.sleep(1.0)
            async with running(reader()):
                await asyncio.sleep(1.0)
                async with running(reader()):
                    await asyncio.sleep(1.0)
                await asyncio.sleep(0.5)
            while sum(len(set(numbers)) for numbers in done.values()) < 6 * each:
                await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(run(), 60))
    for partition in range(6):
        numbers = done[topic, partition]
        assert set(numbers) == set(range(each))
        # A partition goes on where it was, or back; it never jumps.
        assert all(after <= before + 1 for before, after in pairwise(numbers))
