"""A new monitor that takes the assessments of an old one up to a bucket and scores what follows itself.

In this order, and safety depends on it:

1. the cut of each source partition is found in the old log and written down (`Forked`, not done);
2. the records below the cuts are copied, byte for byte and in order, to the new assessments topic;
3. the new monitor's group is set to the cuts: from there its first worker assesses;
4. `Forked`, done.

A fork that was broken off goes on where it stopped when it is asked for again: the copy is a function of what was
written down, so what is there already is compared and the rest is added. A worker of the new monitor that is started
too early begins at the start of the topics, since its group stands nowhere yet: it scores everything and loses nothing,
and the fork then refuses to go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams.audit.chain import Source, Taking
from streams.cutover.log import ensure_cutover_topic, now, produce, write
from streams.errors import ConfigurationError, SchemaMismatch, StateConflict
from streams.events import AssessmentRecord, decode_record
from streams.monitors import Monitor
from streams.routing import Cut, Forked
from streams.settings import Settings
from streams.subscribers.cutovers import find_fork
from streams.subscribers.reading import REQUEST_SECONDS, TopicReader
from streams.transport import ensure_topics, required_topics
from streams.transport.failures import LOGGER, transport_error

__all__ = ["Copied", "fork", "steps"]

SAME = ("bucket_ms", "evidence", "strata_years")  # what an assessment or its place in time means depends on them


class Copied(NamedTuple):
    """A fork that is done: its record, how many records were copied now and how many were there before."""

    forked: Forked
    copied: int
    before: int


def fork(settings: Settings, old: Monitor, new: Monitor, bucket: int, *, by: str, why: str) -> Copied:
    """Fork `new` from `old` at `bucket`, or finish a fork that was broken off.

    Raises ConfigurationError if the monitors do not go together, the old one has not got to the bucket, or the new one
    has assessed on its own; StateConflict if the new log is not the beginning of the copy.
    """
    *_, last = steps(settings, old, new, bucket, by=by, why=why)
    assert isinstance(last, Copied)
    return last


def steps(settings: Settings, old: Monitor, new: Monitor, bucket: int, *, by: str, why: str) -> Iterator[str | Copied]:
    """The fork, step by step: the name of each before it is taken, at last what came of it."""
    _check_settings(old, new)
    yield "topics"
    ensure_topics(settings, required_topics(new, settings))
    ensure_cutover_topic(settings)
    known = find_fork(settings, new.name)
    if known is not None and (known.of, known.bucket) != (old.name, bucket):
        raise ConfigurationError(
            f"{new.name} is a fork of {known.of} at bucket {known.bucket} already: take a new name for another"
        )
    if known is None or not known.done:
        _check_unused(settings, new, known)
    yield "plan"
    forked = known or _planned(settings, old, new, bucket, by=by, why=why)
    if known is None:
        write(settings, forked)
    yield "copy"
    copied, before = (0, 0) if forked.done else _copy(settings, old, new, forked)
    yield "group"
    if not forked.done:
        _check_unused(settings, new, forked)
        _set_group(settings, new, forked)
    yield "done"
    if not forked.done:
        forked = msgspec.structs.replace(forked, done=True, at=now())
        write(settings, forked)
    yield Copied(forked, copied, before)


def _check_settings(old: Monitor, new: Monitor) -> None:
    if old.name == new.name:
        raise ConfigurationError(f"monitor {new.name} can't be forked from itself: give the new one a name")
    for name in SAME:
        ours, theirs = getattr(old, name), getattr(new, name)
        if ours != theirs:
            raise ConfigurationError(
                f"{name} is {ours} in {old.name} and {theirs} in {new.name}: assessments of one mean nothing in the "
                "other; let the new monitor read the topics from the start"
            )


def _planned(settings: Settings, old: Monitor, new: Monitor, bucket: int, *, by: str, why: str) -> Forked:
    taking = Taking(new.roster, bucket * old.bucket_ms)
    with TopicReader(settings, old.assessments_topic) as log:
        if any(log.starts.values()):
            raise StateConflict(f"{log.topic} does not begin at its beginning: nothing whole can be taken from it")
        ends = [end for _, end in sorted(log.ends.items())]
        for message in log.messages():
            taking.takes(_decoded(message))
    if not taking.reached:
        raise ConfigurationError(
            f"no source partition of {old.name} has got to bucket {bucket}: fork later, or earlier"
        )
    cuts = [Cut(*source, offset) for source, offset in taking.cuts().items()]
    return Forked(new.name, old.name, bucket, old.bucket_ms, cuts, ends, False, now(), by, why)


def _check_unused(settings: Settings, new: Monitor, forked: Forked | None) -> None:
    """The new monitor must not have worked on its own: its log holds nothing but what a fork copied, its group stands
    nowhere or at the cuts."""
    committed = _committed(settings, new)
    cuts = {} if forked is None else {(cut.topic, cut.partition): cut.offset for cut in forked.cuts}
    with TopicReader(settings, new.assessments_topic) as log:
        written = any(log.ends.values())
    if (forked is None and written) or any(offset != cuts.get(source) for source, offset in committed.items()):
        raise ConfigurationError(
            f"{new.name} has assessed on its own already: a fork needs a name that was not used, or delete "
            f"{new.assessments_topic}, the group {new.name}.assess and the monitor's state first"
        )


# ------------------------------------------------------------------ the copy


def _copy(settings: Settings, old: Monitor, new: Monitor, forked: Forked) -> tuple[int, int]:
    """Bring the new log to what was written down; records added, and those that were there."""
    copied = before = 0
    for partition in range(new.assessments_partitions):
        with TopicReader(settings, new.assessments_topic) as log:
            others = {p: end for p, end in log.ends.items() if p != partition}
            present = (message.value() or b"" for message in log.messages(others))
            wanted = _taken(settings, old, new, forked, partition)
            there = sum(1 for _ in _the_same(present, wanted, log.topic, partition))
            added = produce(settings, log.topic, ((None, value, partition) for value in wanted))
            log.renew()
            if log.ends[partition] != there + added:
                raise StateConflict(f"{log.topic}/{partition}: something else was written there during the copy")
        copied, before = copied + added, before + there
    return copied, before


def _taken(settings: Settings, old: Monitor, new: Monitor, forked: Forked, partition: int) -> Iterator[bytes]:
    """The old log's records below the cuts, as they are."""
    if partition >= len(forked.ends):
        return
    taking = Taking(new.roster, forked.bucket * forked.bucket_ms)
    with TopicReader(settings, old.assessments_topic) as log:
        others = {p: end for p, end in log.ends.items() if p != partition}
        for message in log.messages(others):
            if message.offset() >= forked.ends[partition]:
                return
            if taking.takes(_decoded(message)):
                yield message.value()


def _decoded(message: Message) -> AssessmentRecord:
    try:
        record: AssessmentRecord = decode_record(message.value() or b"")
    except msgspec.DecodeError as error:
        where = f"{message.topic()}/{message.partition()}/{message.offset()}"
        raise SchemaMismatch(f"{where} holds no assessment record ({type(error).__name__})") from None
    return record


def _the_same(present: Iterator[bytes], wanted: Iterator[bytes], topic: str, partition: int) -> Iterator[bytes]:
    """What is there, taken off `wanted`, as long as both agree. Raises StateConflict where they don't."""
    for number, value in enumerate(present):
        if next(wanted, None) != value:
            raise StateConflict(
                f"{topic}/{partition}: record {number} is not the old monitor's; who else writes there?"
            )
        yield value


# ------------------------------------------------------------------ the group


def _committed(settings: Settings, new: Monitor) -> dict[Source, int]:
    names = {(new.on_broker(topic), number): (topic, number) for topic, number in new.roster}
    consumer = _member(settings, new)
    try:
        found = consumer.committed([TopicPartition(*name) for name in names], timeout=REQUEST_SECONDS)
    except KafkaException as error:
        raise transport_error(error, f"group {new.name}.assess") from None
    finally:
        consumer.close()
    return {names[tp.topic, tp.partition]: tp.offset for tp in found if tp.offset >= 0}


def _set_group(settings: Settings, new: Monitor, forked: Forked) -> None:
    """Kafka refuses this while the group has members: a worker that runs."""
    offsets = [TopicPartition(new.on_broker(c.topic), c.partition, c.offset) for c in forked.cuts if c.offset > 0]
    if not offsets:
        return
    consumer = _member(settings, new)
    try:
        for answer in consumer.commit(offsets=offsets, asynchronous=False) or []:
            if answer.error is not None:
                raise transport_error(answer.error, f"group {new.name}.assess")
    except KafkaException as error:
        raise transport_error(error, f"group {new.name}.assess (does a worker of it run?)") from None
    finally:
        consumer.close()


def _member(settings: Settings, new: Monitor) -> Consumer:
    return Consumer(
        {**settings.kafka(), "group.id": f"{new.name}.assess", "enable.auto.commit": False, "logger": LOGGER}
    )
