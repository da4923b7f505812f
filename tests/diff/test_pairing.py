"""Two logs side by side: what the merge says of each offset, beside a table that holds everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.audit.chain import Chain
from streams.diff.pairing import Found, _paired, side_by_side
from streams.events import Assessment, AssessmentRecord, DeadLetter, Gap, Tick

Word = tuple[str, int, int]  # kind, first, last


@st.composite
def logs(draw: st.DrawFn) -> list[Found]:
    """One side's records of a source partition: dead letters, now and then a gap, holes between them."""
    found, at = [], 0
    for _ in range(draw(st.integers(0, 12))):
        hole, width, gap = draw(st.tuples(st.integers(0, 1), st.integers(1, 4), st.booleans()))
        first = at
        last = at + width - 1 if gap else at + hole
        record = Gap("t", 0, first, last) if gap else DeadLetter("t", 0, first, last, "unreadable")
        found.append(Found(first, record))
        at = last + 1
    return found


def at(found: list[Found], offset: int) -> Found | None:
    return next((f for f in found if f.record.offset == offset or f.covers(offset)), None)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs(), logs())
def test_every_offset_is_told_once_with_what_each_side_has_there(one: list[Found], other: list[Found]) -> None:
    told = list(_paired("t", 0, one, other))
    assert [p.offset for p in told] == sorted({p.offset for p in told})
    ends = [side[-1].record.offset if side else -1 for side in (one, other)]
    by_offset = {p.offset: p for p in told}
    for found in (*one, *other):
        offset = found.record.offset
        pairing = by_offset.get(offset)
        if pairing is None:  # a gap whose offsets were told beside the other side's records
            assert isinstance(found.record, Gap)
            assert any(found.covers(p.offset) and p.a and p.b for p in told)
            continue
        if offset <= min(ends):
            assert (pairing.a, pairing.b) == (at(one, offset), at(other, offset))
            assert not pairing.waits
        elif not (pairing.a and pairing.b):
            assert pairing.waits


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=30))
def test_the_chain_covers_every_offset_once(words: list[tuple[int, int]]) -> None:
    chain, covered = Chain(), []
    for lo, width in words:
        record = DeadLetter("t", 0, lo, lo + width, "unreadable")
        first = chain.take(record)
        if first is not None:
            covered += range(first, record.offset + 1)
    assert covered == list(range(chain.next["t", 0]))


def test_a_tick_counts_only_at_the_end_of_what_is_there() -> None:
    chain = Chain()
    records: list[AssessmentRecord] = [
        Tick("t", 0, 0, 5), DeadLetter("t", 0, 0, 3, "unreadable"), Tick("t", 0, 3, 6), Tick("t", 0, 4, 7)
    ]  # fmt: skip
    assert [chain.take(record) for record in records] == [0, 0, None, 4]


@pytest.mark.kafka
def test_logs_that_mix_their_source_topics_otherwise_are_paired_by_source_partition(
    kafka_log: Any, kafka: str, unique: Callable[[str], str]
) -> None:
    from streams.events import encode
    from streams.settings import load_settings

    def case(topic: str, partition: int, offset: int, lo: int | None = None) -> bytes:
        lo = offset if lo is None else lo
        return encode(Assessment(topic, partition, lo, offset, 0, f"c{offset}", 1, 0, ["D"], ["E"], [1_000_000]))

    a, b = (kafka_log.create(unique(name), partitions=2) for name in ("a", "b"))
    ours = [case("x", 0, n) for n in range(30)] + [case("y", 0, n) for n in range(20)]
    theirs = [case(topic, 0, n) for n in range(30) for topic in ("y", "x") if topic == "x" or n < 25]
    kafka_log.write(a, [*ours, ours[3]])  # a repetition, as after a restart
    kafka_log.write(b, [case("x", 0, 5), *theirs])  # and one that came before its turn
    kafka_log.write(b, [case("z", 1, 0)], partition=1)
    found = list(side_by_side(load_settings(bootstrap_servers=kafka), a, b))
    assert [(p.topic, p.partition, p.offset) for p in found] == [
        *(("x", 0, n) for n in range(30)), *(("y", 0, n) for n in range(25)), ("z", 1, 0)
    ]  # fmt: skip
    assert [p.offset for p in found if p.waits] == [20, 21, 22, 23, 24, 0]
    assert all(p.a and p.b and p.a.record == p.b.record for p in found if not p.waits)
