"""A fork: what it takes from the old monitor, and that nothing is missing or there twice wherever it is broken off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.audit.chain import Taking
from streams.cutover.fork import fork, steps
from streams.detect.progress import SourceState, advance
from streams.detect.time import Timing
from streams.errors import ConfigurationError, StateConflict
from streams.events import Assessment, AssessmentRecord, DeadLetter, Tick, decode_record, encode
from streams.state.server import RedisServer
from streams.subscribers.cutovers import find_fork
from tests.lab import DAY_MS, FIRST_DAY, MONITOR, Lab, make_lab, make_successor, reports

MIDDLE = FIRST_DAY + 15
SOURCES = [("x", 0), ("y", 0)]


words = st.tuples(st.sampled_from(SOURCES), st.sampled_from("aaaadtr"), st.integers(0, 99), st.integers(0, 1))


def history(told: list[tuple[tuple[str, int], str, int, int]]) -> list[AssessmentRecord]:
    """A log of two source partitions: disorder, holes, ticks (void ones too), dead letters, repetitions."""
    following = dict.fromkeys(SOURCES, 0)
    records: list[AssessmentRecord] = []
    for source, kind, time, step in told:
        lo, offset = following[source], following[source] + step
        if kind == "t":
            records.append(Tick(*source, at=offset, received_at=time))
        elif kind == "r" and records:
            records.append(records[time % len(records)])
        else:
            following[source] = offset + 1
            records.append(
                DeadLetter(*source, lo, offset, "unreadable")
                if kind == "d"
                else Assessment(*source, lo, offset, time, f"c{len(records)}", 1, 0, [], [], [])
            )
    return records


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(words, max_size=40).map(history), st.integers(0, 9), st.integers(0, 30))
def test_what_a_fork_takes_is_the_log_of_a_monitor_that_stopped_at_the_cuts_and_counts_before_the_bucket(
    log: list[AssessmentRecord], bucket: int, disorder: int
) -> None:
    timing = Timing(10, disorder)
    taking = Taking(SOURCES, bucket * 10)
    taken = [record for record in log if taking.takes(record)]
    cuts = taking.cuts()
    nothing = dict.fromkeys(SOURCES, SourceState())
    step = advance(nothing, taken, timing)
    assert {source: step.sources.get(source, SourceState()).next for source in SOURCES} == cuts
    assert not {"repeated", "beyond", "tick_void"} & step.outcomes.keys()
    assert all(placed.bucket < bucket for placed in step.placed)
    whole = advance(nothing, log, timing)
    below = [p for p in whole.placed if p.contribution.position[2] < cuts[p.contribution.position[:2]]]
    assert step.placed == below
    # What is left out begins with a record of the bucket or later, or there is nothing left.
    for source in SOURCES:
        rest = [p for p in whole.placed if p.contribution.position[:2] == source and p not in below]
        if source not in taking.reached:
            assert rest == []


# ------------------------------------------------------------------ on a real Kafka


@pytest.fixture
def old(tmp_path: Path, kafka: str, unique: Callable[[str], str], redis_server: RedisServer) -> Lab:
    return make_lab(tmp_path, unique("old"), kafka, redis_server.url, partitions=2)


def written(log: Any, lab: Lab) -> list[list[bytes]]:
    topic = lab.monitor.assessments_topic
    return [[m.value() for m in log.read(topic, p)] for p in range(lab.monitor.assessments_partitions)]


def by_hand(log: Any, lab: Lab, days: int = 30) -> None:
    """An old log with a model's name in it, days in disorder, one partition that is behind."""
    for partition in range(2):
        offsets = range((days if partition == 0 else 10) * 4)
        values = [
            Assessment(
                lab.topic, partition, n, n, (FIRST_DAY + max(0, n // 4 - (n % 5 == 0))) * DAY_MS, f"c{partition}-{n}",
                1, 0, ["D"], ["E"], [1_000_000], model="old@1",
            )
            for n in offsets
        ]  # fmt: skip
        log.write(lab.monitor.assessments_topic, [*map(encode, values), encode(values[3])], partition)
        log.write(lab.topic, [b"{}"] * len(values), partition)


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_a_fork_takes_the_old_assessments_scores_the_rest_and_every_offset_has_one_record(
    old: Lab, kafka_log: Any, unique: Callable[[str], str]
) -> None:
    sent = old.load(reports(3000, old.topic, days=30))
    old.drain()
    new = make_successor(old, unique("new"))
    result = old.cli("monitor", "fork", str(old.file), str(new.file), "--at", str(MIDDLE), "--why", "a test", "--json")
    assert result.returncode == 0, result.stderr
    made = json.loads(result.stdout)
    taken = written(kafka_log, new)
    assert made["copied"] == sum(map(len, taken)) > 1000
    assert all(part == whole[: len(part)] for part, whole in zip(taken, written(kafka_log, old), strict=True))
    new.drain()
    records = [decode_record(value) for part in written(kafka_log, new) for value in part]
    assert len({(r.topic, r.partition, r.offset) for r in records}) == len(records) == sent
    cuts = {(topic, partition): offset for topic, partition, offset in made["fork"]["cuts"]}
    for record in records:
        if isinstance(record, Assessment) and record.received_at >= MIDDLE * DAY_MS:
            assert record.offset >= cuts[record.topic, record.partition]
    report = new.audit()
    assert report["fork"]["of"] == old.monitor.name
    assert report["fork"]["compared"] == 2
    assert (report["lost"], report["counted_twice"], report["waiting"]) == (0, 0, 0)
    assert old.end_state()[0] == new.end_state()[0]
    assert old.cli("diff", str(old.file), str(new.file)).returncode == 0


@pytest.mark.kafka
def test_a_fork_broken_off_between_any_two_steps_ends_as_one_that_was_not(
    old: Lab, kafka_log: Any, unique: Callable[[str], str]
) -> None:
    by_hand(kafka_log, old)
    whole = make_successor(old, unique("new"))
    config, order = old.settings, ["topics", "plan", "copy", "group", "done"]
    fork(config, old.monitor, whole.monitor, MIDDLE, by="t", why="")
    wanted = written(kafka_log, whole)
    # Message 60 is of day 14 once more, 61 the first of day 15; partition 1 has only got to day 9.
    assert [len(part) for part in wanted] == [61, 40]
    for broken in order[1:]:
        new = make_successor(old, unique("new"))
        for name in steps(config, old.monitor, new.monitor, MIDDLE, by="t", why=""):
            if name == broken:
                break
        fork(config, old.monitor, new.monitor, MIDDLE, by="t", why="again")
        assert written(kafka_log, new) == wanted, broken
        forked = find_fork(config, new.monitor.name)
        assert forked is not None
        assert forked.done
        for cut in forked.cuts:
            assert kafka_log.committed(f"{new.monitor.name}.assess", cut.topic, cut.partition) == cut.offset
    assert fork(config, old.monitor, new.monitor, MIDDLE, by="t", why="").copied == 0  # once more: nothing


@pytest.mark.kafka
def test_a_copy_broken_off_half_way_goes_on_and_foreign_records_in_it_are_refused(
    old: Lab, kafka_log: Any, unique: Callable[[str], str]
) -> None:
    by_hand(kafka_log, old)
    new = make_successor(old, unique("new"))
    for name in steps(old.settings, old.monitor, new.monitor, MIDDLE, by="t", why=""):
        if name == "copy":
            break
    first = written(kafka_log, old)[0][:17]
    kafka_log.write(new.monitor.assessments_topic, first)
    other = make_successor(old, unique("new"))
    for name in steps(old.settings, old.monitor, other.monitor, MIDDLE, by="t", why=""):
        if name == "copy":
            break
    kafka_log.write(other.monitor.assessments_topic, [*first[:5], first[3]])
    made = fork(old.settings, old.monitor, new.monitor, MIDDLE, by="t", why="")
    assert (made.before, made.copied) == (17, sum(map(len, written(kafka_log, new))) - 17)
    with pytest.raises(StateConflict, match="record 5 is not the old monitor's"):
        fork(old.settings, old.monitor, other.monitor, MIDDLE, by="t", why="")


@pytest.mark.kafka
def test_monitors_that_do_not_go_together_and_names_in_use_are_refused(
    old: Lab, kafka_log: Any, unique: Callable[[str], str]
) -> None:
    by_hand(kafka_log, old)

    def refused(new: Lab, words: str, bucket: int = MIDDLE) -> None:
        with pytest.raises(ConfigurationError, match=words):
            fork(old.settings, old.monitor, new.monitor, bucket, by="t", why="")

    refused(make_successor(old, unique("new"), MONITOR.replace('"coded"', '"both"')), "evidence is coded")
    refused(make_successor(old, unique("new")), "has got to bucket", FIRST_DAY + 99)
    used = make_successor(old, unique("new"))
    fork(old.settings, old.monitor, used.monitor, MIDDLE, by="t", why="")
    refused(used, f"at bucket {MIDDLE} already", MIDDLE + 1)
    busy = make_lab(old.file.parent, unique("busy"), old.settings.bootstrap_servers, "unused", partitions=2)
    busy = make_successor(old, busy.monitor.name)
    kafka_log.write(busy.monitor.assessments_topic, [written(kafka_log, old)[0][0]])
    refused(busy, "assessed on its own")


@pytest.mark.kafka
def test_the_audit_of_a_fork_finds_what_is_not_as_it_was_written_down(
    old: Lab, kafka_log: Any, unique: Callable[[str], str]
) -> None:
    from streams.audit.forks import check_fork

    by_hand(kafka_log, old)
    new = make_successor(old, unique("new"))
    forked = fork(old.settings, old.monitor, new.monitor, MIDDLE, by="t", why="").forked
    cut = next(cut.offset for cut in forked.cuts if cut.partition == 0)

    def above(model: str) -> bytes:
        moment = MIDDLE * DAY_MS
        return encode(Assessment(old.topic, 0, cut, cut, moment, "c", 1, 0, [], [], [], model=model))

    kafka_log.write(new.monitor.assessments_topic, [above("new@2")])
    named = new.monitor.model_copy(update={"model": "new@2"})
    report = check_fork(old.settings, named, forked)
    assert (report.faults, report.compared) == ([], 2)
    assert (report.below, report.above) == ({"old@1": cut + 40}, {"new@2": 1})
    assert check_fork(old.settings, new.monitor.model_copy(update={"model": "new@3"}), forked).faults == [
        f"{old.topic}/0/{cut}: assessed by new@2, the monitor names new@3"
    ]
    shifted = [msgspec.structs.replace(c, offset=c.offset + (c.partition == 0)) for c in forked.cuts]
    moved = check_fork(old.settings, named, msgspec.structs.replace(forked, cuts=shifted)).faults
    assert f"{old.topic}/0/{cut}: taken over, but received in bucket {MIDDLE} or later" in moved
    assert f"{old.topic}/0: the records below {cut + 1} are not those of {old.monitor.name}" in moved
    missing = [msgspec.structs.replace(c, offset=c.offset + c.partition) for c in forked.cuts]
    assert check_fork(old.settings, named, msgspec.structs.replace(forked, cuts=missing)).faults == [
        f"{old.topic}/1: covered up to 40, the cut is at 41"
    ]
    unfinished = check_fork(old.settings, named, msgspec.structs.replace(forked, done=False))
    assert unfinished.faults == ["the fork was broken off: run `vigilia monitor fork` again"]
