"""The audit finds a true state clean, and every kind of damage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from streams.detect.totals import BucketTotals
from streams.events import Assessment

pytestmark = pytest.mark.kafka


@pytest.fixture
def audit(vigilia: Callable[..., Any], world: Any) -> Callable[..., tuple[int, dict[str, Any]]]:
    def run(*args: str) -> tuple[int, dict[str, Any]]:
        result = vigilia("audit", "-m", world.path, "--json", *args)
        assert result.err == ""
        return result.status, json.loads(result.out)

    return run


def test_a_true_state_is_clean_and_every_source_message_has_one_outcome(
    vigilia: Callable[..., Any], world: Any, tmp_path: Path
) -> None:
    world.fill()
    world.detect()
    result = vigilia("audit", "-m", world.path, "--outcomes", tmp_path / "outcomes.jsonl")
    assert result.out.splitlines()[-1] == "0 lost, 0 counted twice, 0 differences"
    assert result.status == 0
    lines = [json.loads(line) for line in (tmp_path / "outcomes.jsonl").read_text().splitlines()]
    source = sum(1 for p in world.written.values() for r in p if r.__class__.__name__ != "Tick")
    assert len(lines) == source == len({(x["topic"], x["partition"], x["offset"]) for x in lines})
    found = {outcome: sum(1 for x in lines if x["outcome"] == outcome) for outcome in {x["outcome"] for x in lines}}
    counters = world.store.counters()
    assert found == {
        "counted": counters["counted"],
        "counted late": counters["late"],
        "duplicate": counters["duplicate"],
        "dead letter": counters["dead_letter:unreadable"] + counters["dead_letter:too_large"],
        "gap": 1,
    }
    assert all(number > 0 for number in found.values())
    assert {name: value for name, value in lines[_gap(lines)].items() if name not in ("topic", "partition")} == {
        "outcome": "gap",
        "first": 0,
        "offset": 2,
    }
    assert all(("of" in x) == (x["outcome"] == "duplicate") for x in lines)
    assert all(("reason" in x) == (x["outcome"] == "dead letter") for x in lines)


def _gap(lines: list[dict[str, Any]]) -> int:
    return next(i for i, line in enumerate(lines) if line["outcome"] == "gap")


def test_a_worker_half_way_is_clean_too_and_the_rest_is_work_left(audit: Callable[..., Any], world: Any) -> None:
    world.fill()
    world.detect(until=100)
    status, report = audit()
    assert (status, report["differences"]) == (0, [])
    assert report["behind"] == sum(len(x) for x in world.written.values()) - 200
    assert report["waiting"] > 0
    assert report["cells"]["messages"] > 100


def test_nothing_applied_yet_is_clean_and_all_is_work_left(audit: Callable[..., Any], world: Any) -> None:
    world.fill(days=5)
    status, report = audit()
    assert (status, report["messages"], report["differences"]) == (0, 0, [])
    assert report["behind"] == sum(len(x) for x in world.written.values())


def _some_bucket(world: Any) -> bytes:
    return sorted(world.store.client.hkeys(world.store.keys.aggregates))[30]


def _change_total(world: Any) -> str:
    bucket = _some_bucket(world)
    totals = BucketTotals.decode(world.store.client.hget(world.store.keys.aggregates, bucket))
    totals.cases[0] += 1
    world.store.client.hset(world.store.keys.aggregates, bucket, totals.encode())
    return f"bucket {bucket.decode()}: N(0)"


def _lose_bucket(world: Any) -> str:
    bucket = _some_bucket(world)
    world.store.client.hdel(world.store.keys.aggregates, bucket)
    return f"bucket {bucket.decode()}: "


def _change_counter(world: Any) -> str:
    world.store.client.hincrby(world.store.keys.counters, "dead_letter:unreadable", -1)
    return "counter dead_letter:unreadable"


def _count_once_more(world: Any) -> str:
    world.store.client.hincrby(world.store.keys.counters, "late", 1)
    return "counter late"


def _count_once_less(world: Any) -> str:
    world.store.client.hincrby(world.store.keys.counters, "counted", -1)
    return "counter counted"


def _move_position(world: Any) -> str:
    field = world.store.keys.source(world.monitor.topics.index(world.notes), 0)
    following, rest = world.store.client.hget(world.store.keys.positions, field).decode().split("|", 1)
    world.store.client.hset(world.store.keys.positions, field, f"{int(following) - 1}|{rest}")
    return f"{world.notes}[0].next"


def _entries(world: Any, kind: bytes) -> tuple[str, bytes]:
    key = world.store.keys.cases + _some_bucket(world).decode()
    return key, next(at for at, entry in sorted(world.store.client.hgetall(key).items()) if entry[:1] == kind)


def _uncount(world: Any) -> str:
    key, at = _entries(world, b"c")
    entry = world.store.client.hget(key, at)
    world.store.client.hset(key, at, b"d" + entry[1:])
    return "message "


def _count_duplicate(world: Any) -> str:
    for bucket in world.store.client.hkeys(world.store.keys.aggregates):
        key = world.store.keys.cases + bucket.decode()
        for at, entry in world.store.client.hgetall(key).items():
            if entry[:1] == b"d":
                world.store.client.hset(key, at, b"c" + entry[1:])
                return "message "
    raise AssertionError("no duplicate")


def _drop_entry(world: Any) -> str:
    key, at = _entries(world, b"c")
    world.store.client.hdel(key, at)
    return "message "


def _change_alert(world: Any) -> str:
    (alert_id,) = world.store.client.hkeys(world.store.keys.alerts)
    record = world.store.client.hget(world.store.keys.alerts, alert_id)
    world.store.client.hset(world.store.keys.alerts, alert_id, record.replace(b'"cases":', b'"cases":1'))
    return f"alert {alert_id.decode()}"


def _history(world: Any) -> tuple[str, bytes]:
    (bucket, *_) = world.store.client.zrange(world.store.keys.history, 0, -1)
    key = world.store.keys.alarms + bucket.decode()
    return key, world.store.client.lindex(key, 0)


def _change_history(world: Any) -> str:
    key, record = _history(world)
    world.store.client.lset(key, 0, re.sub(rb'"a":', b'"a":1', record))
    return f"alert {json.loads(record)['id']} of bucket {json.loads(record)['bucket']}"


def _leave_out_history(world: Any) -> str:
    key, record = _history(world)
    world.store.client.lrem(key, 1, record)
    return "chain of the history"


DAMAGES = {
    _change_total: (0, 0),
    _lose_bucket: (0, 0),
    _change_counter: (0, 0),
    _count_once_more: (0, 1),
    _count_once_less: (1, 0),
    _move_position: (0, 0),
    _uncount: (1, 0),
    _count_duplicate: (0, 1),
    _drop_entry: (1, 0),
    _change_alert: (0, 0),
    _change_history: (0, 0),
    _leave_out_history: (0, 0),
}


def test_every_kind_of_damage_is_found_and_named(audit: Callable[..., Any], world: Any) -> None:
    world.fill()
    world.detect()
    whole = {key: world.store.client.dump(key) for key in world.store.client.keys(world.store.keys.prefix + "*")}
    assert audit()[0] == 0
    for damage, (lost, twice) in DAMAGES.items():
        what = damage(world)
        status, report = audit("--skip-sources")
        assert status == 1, damage
        assert any(difference["what"].startswith(what) for difference in report["differences"]), damage
        assert (report["lost"], report["counted_twice"]) == (lost, twice), damage
        for key, value in whole.items():
            world.store.client.restore(key, 0, value, replace=True)
    assert audit()[0] == 0


def test_a_source_message_that_assess_passed_over_is_lost(audit: Callable[..., Any], world: Any) -> None:
    world.send(world.notes, 0, [b"one", b"two", b"three"])

    def case(lo: int, offset: int) -> Assessment:
        return Assessment(world.notes, 0, lo, offset, 86_400_000, f"c{offset}", 1, 0, ["D"], ["E"], [1_000_000])

    world.assess([case(0, 0), case(1, 2)])
    world.detect()
    status, report = audit()
    assert (status, report["lost"]) == (1, 1)
    assert [x["what"] for x in report["differences"]] == [f"source {world.notes}/0/1: no outcome"]
    assert audit("--skip-sources")[0] == 0


def test_a_redis_that_is_ahead_of_the_log_is_a_difference(audit: Callable[..., Any], world: Any) -> None:
    world.fill(days=3)
    world.detect()
    world.store.client.hset(world.store.keys.positions, "a:0", 10_000)
    status, report = audit()
    assert status == 1
    assert "assessments[0]: Redis is ahead of the log" in [x["what"] for x in report["differences"]]


def test_without_a_redis_url_there_is_nothing_to_look_at(
    vigilia: Callable[..., Any], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIGILIA_REDIS_URL")
    result = vigilia("audit", "-m", world.path)
    assert result.status == 2
    assert "set VIGILIA_REDIS_URL" in result.err


def test_an_audit_beside_a_running_worker_sees_one_moment(audit: Callable[..., Any], world: Any) -> None:
    world.fill()
    longest = max(map(len, world.written.values()))
    with ThreadPoolExecutor(1) as worker:
        work = worker.submit(lambda: [world.detect(until=n) for n in range(0, longest + 5, 5)])
        seen = set()
        while not work.done():
            status, report = audit("--skip-sources")
            assert (status, report["differences"]) == (0, [])
            seen.add(report["messages"])
        work.result()
    assert len(seen) > 3
