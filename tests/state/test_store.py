from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.detect.deduplication import Message, decide
from streams.detect.progress import SourceState
from streams.errors import (
    ConfigurationError,
    SchemaTooNew,
    SettingsChanged,
    StateConflict,
    StateDirty,
    StoreUnavailable,
)
from streams.events import END_OF_TIME, DeadLetter, Gap, Tick
from streams.monitors import Monitor, Source
from streams.state.server import RedisServer
from streams.state.store import Applied, Refused, Store, StoreSettings

from .conftest import Bench, report

HORIZON = 3


def test_an_empty_redis_is_at_the_beginning_of_everything(bench: Bench) -> None:
    assert bench.store.positions() == ({}, {("r", 0): SourceState()})
    assert bench.store.closable() is None
    assert bench.store.counters() == {}


def test_a_batch_is_applied_once(bench: Bench) -> None:
    first = bench.apply(report(0, 5), report(1, 60))
    assert first == Applied(counted=2, duplicate=0, late=0, closable=0)
    state = bench.everything()
    bench.at = 0
    assert bench.apply(report(0, 5), report(1, 60)) == Refused(2)
    assert bench.everything() == state
    assert bench.store.positions() == ({0: 2}, {("r", 0): SourceState(2, 60, 5)})


def test_a_redis_that_was_emptied_is_noticed_at_the_next_batch_even_an_empty_one(bench: Bench) -> None:
    bench.apply(report(0, 5))
    bench.store.wipe()
    assert bench.apply() == Refused(0)
    assert bench.apply(report(1, 6)) == Refused(0)


def test_a_batch_computed_from_other_sources_than_those_in_redis_is_refused(bench: Bench) -> None:
    """Next offset and sources are read together, or Redis was set back in between: nothing may be skipped over."""
    bench.apply(report(0, 5), report(1, 6))
    bench.sources["r", 0] = SourceState(9, 5, 0)
    assert bench.apply(report(2, 7)) == Refused(2)
    bench.sources = {}
    assert isinstance(bench.apply(report(2, 7)), Applied)


def test_every_message_has_one_outcome_and_a_swap_moves_it(bench: Bench) -> None:
    bench.apply(DeadLetter("r", 0, 0, 0, "unreadable"), report(1, 25, "x"), Gap("r", 0, 2, 4), Tick("r", 0, 5, 26))
    assert bench.store.counters() == {"counted": 1, "dead_letter:unreadable": 1, "gap": 1, "gap_offsets": 3, "tick": 1}
    assert bench.apply(report(5, 24, "x"), report(6, 3)) == Applied(counted=0, duplicate=1, late=1, closable=None)
    # Smaller than the one at 25, which counted until now.
    assert bench.place([Message(2, ("r", 0, 0), (b"k",)), Message(3, ("r", 0, 9), (b"k",))]) == (1, 1, 0, None)
    assert bench.place([Message(2, ("r", 0, 10), (b"l",))], late=True) == (0, 0, 1, None)
    assert bench.place([Message(1, ("r", 0, 11), (b"l",))]) == (1, 1, -1, 1)
    counters = bench.store.counters()
    assert (counters["counted"], counters["late"], counters["duplicate"]) == (3, 1, 3)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Message]:
    keys = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1, max_size=3, unique=True)
    drawn = draw(st.lists(st.tuples(st.integers(-4, 8), keys), max_size=14))
    return [Message(bucket, ("r", 0, i), tuple(held)) for i, (bucket, held) in enumerate(drawn)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(arrivals(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_what_counts_does_not_depend_on_order_or_batches(
    bench: Bench, log: list[Message], random: Random, batch: int
) -> None:
    bench.store.wipe()
    bench.at = 0
    arriving = list(log)
    random.shuffle(arriving)
    for start in range(0, len(arriving), batch):
        bench.place(arriving[start : start + batch])
    expected = {p for p, loses_to in decide(log, HORIZON).items() if loses_to is None}
    found = set()
    for bucket in {m.bucket for m in log}:
        changes = bench.store.changes(bucket, 0)
        found |= {case.position for case in changes.counted.values() if case is not None}
    assert found == expected
    per_bucket = {b: sum(m.bucket == b and m.position in expected for m in log) for b in {m.bucket for m in log}}
    assert bench.store.open_buckets() == {b: n for b, n in per_bucket.items() if n}
    assert bench.store.counters().get("counted", 0) == len(expected)
    assert bench.store.counters().get("duplicate", 0) == len(log) - len(expected)


def test_a_batch_larger_than_lua_can_unpack_is_applied(bench: Bench) -> None:
    messages = [Message(i % 2, ("r", 0, i), (b"a%d" % i, b"b%d" % i)) for i in range(9000)]
    assert bench.place(messages) == (9000, 0, 0, None)
    assert bench.place([Message(2, ("r", 0, 9000 + i), (b"b%d" % i,)) for i in range(9000)]) == (0, 9000, 0, None)


def test_times_and_offsets_at_their_ends_keep_every_digit(bench: Bench) -> None:
    last = 10**15 - 2
    bench.apply(report(last, -(10**13), lo=0), Tick("r", 0, last + 1, END_OF_TIME))
    assert bench.store.positions().sources == {("r", 0): SourceState(last + 1, END_OF_TIME, (END_OF_TIME - 3) // 10)}
    assert bench.close() == -(10**12)
    assert bench.store.base().closed == -(10**12)


def test_a_message_in_a_closed_bucket_is_a_conflict_and_nothing_is_written(bench: Bench) -> None:
    bench.apply(report(0, 5), report(1, 60))
    assert bench.close() == 0
    before = bench.everything()
    with pytest.raises(StateConflict, match=r"falls in bucket 0, closed is 0"):
        bench.place([Message(3, ("r", 0, 7), (b"k",)), Message(0, ("r", 0, 8), (b"k",))])
    assert bench.everything() == before


def test_a_script_that_stops_half_way_is_noticed_by_everyone_until_the_state_is_wiped(bench: Bench) -> None:
    bench.apply(report(0, 5))
    bench.store.client.set(f"{bench.store.keys.held_keys}1", "not a set")
    with pytest.raises(StateDirty, match="WRONGTYPE"):
        bench.apply(report(1, 15))
    for call in (bench.apply, bench.store.positions, bench.store.closable, bench.store.alerts_since):
        with pytest.raises(StateDirty, match="apply"):
            call()  # type: ignore[operator]
    with pytest.raises(StateDirty):
        bench.store.propose_provisional([("a", 9, b"{}")])
    bench.store.wipe()
    assert bench.everything() == {}
    bench.at, bench.sources = 0, {}
    assert isinstance(bench.apply(report(0, 5), report(1, 15)), Applied)


def test_a_late_wipe_leaves_the_rebuilt_state_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers find the state dirty. One wipes and reads on while the other is still listing keys."""
    bench.apply(report(0, 5))
    bench.store.client.hset(bench.store.keys.meta, "dirty", "apply")
    other = Store(bench.store.client, bench.store.settings)
    scan = bench.store.client.scan

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = scan(*args, **kwargs)
        monkeypatch.undo()
        other.wipe()
        bench.at, bench.sources = 0, {}
        bench.apply(report(0, 5))
        return found

    monkeypatch.setattr(bench.store.client, "scan", meanwhile)
    bench.store.wipe()
    assert bench.store.counters() == {"counted": 1}
    assert bench.store.positions().next == {0: 1}


def test_a_wipe_takes_only_its_own_monitor(bench: Bench, redis_server: RedisServer) -> None:
    name = bench.store.settings.monitor
    neighbour = Bench(Store.connect(redis_server.url, StoreSettings(f"{name}-2", "hash", (("r", 0),), 3, 5)))
    neighbour.apply(report(0, 5))
    bench.apply(report(0, 5))
    bench.store.wipe()
    assert bench.everything() == {}
    assert neighbour.store.counters() == {"counted": 1}


def test_other_settings_under_the_same_name_are_refused_at_start_and_under_way(
    bench: Bench, redis_server: RedisServer
) -> None:
    bench.apply(report(0, 5))
    changed = StoreSettings(bench.store.settings.monitor, "other", (("r", 0),), 3, 5)
    with pytest.raises(SettingsChanged, match="built with settings hash, now they are other"):
        Store.connect(redis_server.url, changed)
    with pytest.raises(SettingsChanged):
        Bench(Store(bench.store.client, changed)).apply(report(0, 5))


def test_state_of_other_rules_is_refused_and_the_message_says_what_to_do(
    redis_server: RedisServer, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = Monitor(name=unique("rules"), sources=(Source(topic="r"),))
    Bench(Store.connect(redis_server.url, StoreSettings.of(monitor))).apply(report(0, 5))
    monkeypatch.setattr("streams.state.session.RULE_VERSION", "early/1 strong/99")
    told = r"strong/2 rules/2.*now they are.*strong/99 rules/2.*a new name and replay"
    with pytest.raises(SettingsChanged, match=told):
        Store.connect(redis_server.url, StoreSettings.of(monitor))


def test_state_of_a_newer_schema_is_refused(bench: Bench, redis_server: RedisServer) -> None:
    bench.apply(report(0, 5))
    bench.store.client.hset(bench.store.keys.meta, "schema", 99)
    with pytest.raises(SchemaTooNew, match="schema 99"):
        Store.connect(redis_server.url, bench.store.settings)
    with pytest.raises(SchemaTooNew):
        bench.apply(report(1, 5))


def test_a_redis_that_may_evict_is_refused(bench: Bench, redis_server: RedisServer) -> None:
    bench.store.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigurationError, match="noeviction"):
            Store.connect(redis_server.url, bench.store.settings)
    finally:
        bench.store.client.config_set("maxmemory-policy", "noeviction")


def test_a_full_redis_refuses_and_keeps_the_state_whole(unique: Callable[[str], str]) -> None:
    with RedisServer() as server:
        bench = Bench(Store.connect(server.url, StoreSettings(unique("full"), "hash", (("r", 0),), 3, 5)))
        bench.apply(report(0, 5))
        bench.store.client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable):
            bench.apply(report(1, 6))
        bench.store.client.config_set("maxmemory", 0)
        assert bench.apply(report(1, 6)) == Applied(1, 0, 0, None)


def test_without_a_server_the_store_is_unavailable(unique: Callable[[str], str]) -> None:
    settings_ = StoreSettings(unique("gone"), "hash", (("r", 0),), 3, 5)
    with RedisServer() as server:
        store = Store.connect(server.url, settings_)
    with pytest.raises(StoreUnavailable):
        store.positions()
    with pytest.raises(StoreUnavailable):
        store.closable()
    with pytest.raises(StoreUnavailable):
        Store.connect("unix:///nowhere/redis.sock", settings_)


def test_no_name_of_a_drug_an_event_or_a_case_is_in_a_key(bench: Bench) -> None:
    bench.apply(report(0, 5, "patient*7", drugs=["Drug{x}"], events=["Rash:1"], version=2), report(1, 60))
    bench.close()
    names = b" ".join(bench.everything())
    fields = b" ".join(bench.store.client.hkeys(bench.store.keys.keys))
    for secret in (b"patient", b"Drug", b"Rash"):
        assert secret not in names + fields


def test_every_script_says_what_it_takes_and_gives() -> None:
    from importlib import resources

    for file in (resources.files("streams.state") / "lua").iterdir():
        if file.name != "common.lua":
            head = file.read_text("utf-8").split("\nlocal")[0]
            assert all(word in head for word in ("-- KEYS", "-- ARGV", "-- Returns")), file.name
