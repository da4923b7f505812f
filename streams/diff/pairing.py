"""Two assessments logs side by side, message by message.

Both hold the records of a source partition in order of its offsets, but mix the source topics each in its own way: so
one source partition is read at a time, once from each log. What is in memory does not grow with the logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from streams.audit.chain import Chain
from streams.errors import SchemaMismatch
from streams.events import Assessment, AssessmentRecord, DeadLetter, Gap, Tick, decode_record
from streams.settings import Settings
from streams.subscribers.reading import TopicReader

__all__ = ["Found", "Pairing", "side_by_side"]


class Found(NamedTuple):
    """The record that decided a source offset. A gap stands for all of `[first, record.offset]`."""

    first: int
    record: Assessment | DeadLetter | Gap

    def covers(self, offset: int) -> bool:
        """Whether this is a gap that says that `offset` is gone."""
        return isinstance(self.record, Gap) and self.first <= offset <= self.record.offset


class Pairing(NamedTuple):
    """What two logs say of one source offset; None: nothing. `waits`: one of them has not got so far."""

    topic: str
    partition: int
    offset: int
    a: Found | None
    b: Found | None
    waits: bool = False


def side_by_side(settings: Settings, a: str, b: str) -> Iterator[Pairing]:
    """Every source offset that one of the assessments topics `a` and `b` has a record of, up to their present ends.

    In order of offset within a source partition. Raises what TopicReader raises, and SchemaMismatch.
    """
    with TopicReader(settings, a) as one, TopicReader(settings, b) as other:
        numbers = sorted(one.ends.keys() | other.ends.keys())
    for number in numbers:
        seen = {topic for name in (a, b) if (topic := _first_topic(settings, name, number)) is not None}
        done: set[str] = set()
        while seen > done:  # the first pass finds out which source topics there are; each pass is about one of them
            topic = min(seen - done)
            with TopicReader(settings, a) as one, TopicReader(settings, b) as other:
                yield from _paired(topic, number, *(_found(reader, number, topic, seen) for reader in (one, other)))
            done.add(topic)


def _first_topic(settings: Settings, log: str, number: int) -> str | None:
    with TopicReader(settings, log) as reader:
        return next((record.topic for record in _records(reader, number)), None)


def _records(reader: TopicReader, number: int) -> Iterator[AssessmentRecord]:
    if number not in reader.ends:
        return
    for message in reader.messages({p: end for p, end in reader.ends.items() if p != number}):
        try:
            yield decode_record(message.value() or b"")
        except msgspec.DecodeError as error:
            where = f"{reader.topic}/{number}/{message.offset()}"
            raise SchemaMismatch(f"{where} holds no assessment record ({type(error).__name__})") from None


def _found(reader: TopicReader, number: int, topic: str, seen: set[str]) -> Iterator[Found]:
    chain = Chain()
    for record in _records(reader, number):
        seen.add(record.topic)
        if record.topic != topic or isinstance(record, Tick):
            continue
        first = chain.take(record)
        if first is not None:
            yield Found(first, record)


def _paired(topic: str, partition: int, one: Iterable[Found], other: Iterable[Found]) -> Iterator[Pairing]:
    """Merge two sequences in order of offset. Pure."""
    lefts, rights = iter(one), iter(other)
    a, b = next(lefts, None), next(rights, None)
    told = [False, False]  # of the gap at hand: whether it stood beside a record of the other side
    while a is not None or b is not None:
        offset = min(found.record.offset for found in (a, b) if found is not None)
        here = [found is not None and found.record.offset == offset for found in (a, b)]
        beside = [found is not None and (at or found.covers(offset)) for found, at in zip((a, b), here, strict=True)]
        if all(beside):
            yield Pairing(topic, partition, offset, a, b)
        elif not (told[0] and here[0]) and not (told[1] and here[1]):
            left, right = (found if at else None for found, at in zip((a, b), here, strict=True))
            yield Pairing(topic, partition, offset, left, right, waits=a is None or b is None)
        told = [not at and (told[side] or (all(beside))) for side, at in enumerate(here)]
        if here[0]:
            a = next(lefts, None)
        if here[1]:
            b = next(rights, None)
