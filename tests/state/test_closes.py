from __future__ import annotations

from collections.abc import Callable

import pytest

import streams.state.parts
from streams.detect.deduplication import Message
from streams.errors import StateConflict
from streams.events import PairScore, Span, Tick
from streams.state.bound import Closing
from streams.state.followups import FollowUp
from streams.state.parts import CloseResult
from streams.state.server import RedisServer
from streams.state.store import Store, StoreSettings

from .conftest import Bench, report


def a_result(closing: Closing, bench: Bench, **changes: object) -> CloseResult:
    entries = bench.store.entries(closing)
    assert entries is not None
    values = {
        "drugs": {"d": b"state"}, "aggregate": b"sum", "cases": entries, "new_drugs": ["d"], "new_events": ["e"],
        "alerts": [], "chain": "x", "memo": b"",
    }  # fmt: skip
    return CloseResult(**(values | changes))  # type: ignore[arg-type]


def test_a_bucket_is_closable_once_every_partition_of_the_roster_has_passed_it(
    redis_server: RedisServer, unique: Callable[[str], str]
) -> None:
    bench = Bench(Store.connect(redis_server.url, StoreSettings(unique("m"), "h", (("r", 0), ("s", 0)), 3, 5)))
    assert bench.apply(report(0, 5), report(1, 60)).closable is None  # type: ignore[union-attr]
    assert bench.apply(Tick("s", 0, 0, 12)).closable is None  # type: ignore[union-attr]
    assert bench.apply(Tick("s", 0, 0, 13)).closable == 0  # type: ignore[union-attr]


def test_buckets_of_duplicates_alone_are_passed_over(bench: Bench) -> None:
    bench.apply(report(0, 5, "x"), report(1, 15, "x"), report(2, 25), report(3, 90))
    assert [bench.close(), bench.close(), bench.close()] == [0, 2, None]
    assert bench.store.base().ordinal == 2
    assert not bench.store.client.exists(f"{bench.store.keys.entries}1")


def test_entries_are_the_counted_cases_in_order_of_position(bench: Bench) -> None:
    bench.place([Message(0, ("r", 0, i), (b"%d" % (i % 40),)) for i in reversed(range(60))])
    bench.sources = {}
    bench.apply(Tick("r", 0, 0, 100))
    closing = bench.store.closable()
    assert closing is not None
    entries = bench.store.entries(closing)
    assert entries is not None
    assert [case.position[2] for case in entries] == list(range(40))
    assert bench.store.entries(closing._replace(counted=41)) is None, "an incomplete reading is none"


def test_what_a_close_reads_is_bound_to_the_close_before_it(bench: Bench) -> None:
    bench.apply(report(0, 5), report(1, 15), report(2, 90))
    stale = bench.store.closable()
    assert stale is not None
    assert bench.close() == 0
    store = bench.store
    assert store.entries(stale) is None
    assert store.followups(stale) is None
    assert store.versions(stale, [("r", "x")]) is None
    assert store.terms(stale.closed) is None
    assert store.drug_states(stale.closed, ["d"]) is None
    assert store.aggregates(7) is None
    assert store.evidence(7, [("d", "e")], -9) is None
    assert store.raised_alerts(stale.closed) is None


def test_a_state_is_read_as_of_its_close_and_only_the_last_one_is_kept_beside_it(bench: Bench) -> None:
    bench.apply(*(report(i, 10 * i) for i in range(4)), report(4, 90))
    bench.close()
    bench.close()
    bench.close()
    closing = bench.store.closable()
    assert closing is not None
    result = a_result(closing, bench, drugs={"d": b"not committed"}, new_drugs=[], new_events=[])
    assert all(bench.store.write_chunk(closing, chunk) for chunk in bench.store.chunks(closing, result))
    assert bench.store.drug_states(2, ["d", "never seen"]) == {"d": b"d after 2", "never seen": None}
    assert sorted(map(int, bench.store.client.hkeys(bench.store.keys.drug("d")))) == [2, 3]


def test_a_close_in_many_parts_is_committed_only_if_all_are_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.state.parts, "CHUNK_WRITES", 1)
    bench.apply(report(0, 5, events=["e", "f"], scores=[10**6] * 2), report(1, 6, drugs=["c"]), report(2, 60))
    closing = bench.store.closable()
    assert closing is not None
    result = a_result(closing, bench, drugs={"c": b"1", "d": b"2"}, new_drugs=["c", "d"])
    chunks = bench.store.chunks(closing, result)
    assert len(chunks) == 5  # two drugs, three pairs
    for chunk in chunks[1:]:
        assert bench.store.write_chunk(closing, chunk)
    assert not bench.store.commit_close(closing, chunks, result)
    assert bench.store.write_chunk(closing, chunks[0])
    assert bench.store.commit_close(closing, chunks, result)
    assert not bench.store.commit_close(closing, chunks, result), "only once"
    assert not bench.store.write_chunk(closing, chunks[0]), "nothing is written for a closed bucket"
    assert bench.store.terms(0) == (["c", "d"], ["e"])
    assert bench.store.aggregates(0) == {0: b"sum"}


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [("chain", "elsewhere", "chain"), ("counted", 9, "counted entries"), ("drugs", 4, "drugs")],
)
def test_a_close_that_rests_on_another_history_is_a_conflict(
    bench: Bench, field: str, value: object, what: str
) -> None:
    bench.apply(report(0, 5), report(1, 60))
    closing = bench.store.closable()
    assert closing is not None
    result = a_result(closing, bench)
    chunks = bench.store.chunks(closing, result)
    assert all(bench.store.write_chunk(closing, chunk) for chunk in chunks)
    before = bench.everything()
    with pytest.raises(StateConflict, match=f"{what} {value} expected"):
        bench.store.commit_close(closing._replace(**{field: value}), chunks, result)
    assert bench.everything() == before


def test_evidence_is_found_by_pair_newest_first_within_the_window(bench: Bench) -> None:
    pairs = [PairScore(0, 1, 700_000, Span("the drug", "a rash")), PairScore(0, 0, 200_000)]
    read = report(1, 15, events=["e", "f"], scores=[200_000, 700_000], pairs=pairs)
    bench.apply(report(0, 5), read, report(2, 25), report(3, 26, drugs=["other"]), report(4, 90))
    while bench.close() is not None:
        pass
    found = bench.store.evidence(2, [("d", "e"), ("d", "f"), ("d", "none")], -1)
    assert found is not None
    rows = [(row.bucket, row.contribution.position[2], row.micro) for row in found["d", "e"]]
    assert rows == [(2, 2, 10**6), (1, 1, 200_000), (0, 0, 10**6)]
    ((_, case, micro, *words),) = found["d", "f"]
    assert (case.case_id, micro, words) == ("case 1", 700_000, ["the drug", "a rash"])
    assert found["d", "none"] == []
    limited = bench.store.evidence(2, [("d", "e")], 0, limit=1)
    assert limited is not None
    assert [row.bucket for row in limited["d", "e"]] == [2]


def test_a_later_version_takes_effect_with_the_close_of_its_own_bucket(bench: Bench) -> None:
    bench.apply(report(0, 5, "x"), report(1, 15, "y"), report(2, 16, "x", version=3), report(3, 17, "x", version=2))
    bench.apply(report(4, 25, "z", version=2), report(5, 95))
    first = bench.store.closable()
    assert first is not None
    assert bench.store.followups(first) == []
    assert bench.store.versions(first, [("r", "x")]) == {}
    bench.close()
    second = bench.store.closable()
    assert second is not None
    found = bench.store.followups(second)
    assert found is not None
    assert [(f.contribution.position[2], f.version) for f in found] == [(2, 3)]
    assert isinstance(found[0], FollowUp)
    assert bench.store.versions(second, [("r", "x"), ("r", "y"), ("r", "z")]) == {("r", "x"): 3}
    bench.close()
    third = bench.store.closable()
    assert third is not None
    assert bench.store.followups(third) == [], "z counts itself: there is nothing before it to follow up"
    assert bench.store.versions(third, [("r", "z")]) == {("r", "z"): 2}


def test_a_duplicate_is_known_to_the_end_of_the_horizon_whatever_was_trimmed(bench: Bench) -> None:
    bench.apply(report(0, 5, "x"), *(report(1 + i, 15 + 10 * i) for i in range(8)))
    while bench.close() is not None:
        pass
    assert bench.store.base().closed == 7
    bench.apply(report(9, 86, "case 5"), report(10, 86, "case 4"), report(11, 200))
    assert bench.store.counters()["duplicate"] == 1, "bucket 8: what counted in 5 is a duplicate, what did in 4 is not"


def test_what_is_kept_does_not_grow_with_time(bench: Bench) -> None:
    sizes = []
    for i in range(40):
        bench.apply(*(report(4 * i + j, 10 * i + j, f"{j} {i // 2}", version=1 + j % 2) for j in range(4)))
        while bench.close() is not None:
            pass
        entries = sum(bench.store.client.hlen(key) for key in (bench.store.keys.keys, bench.store.keys.followups))
        members = sum(map(bench.store.client.zcard, (bench.store.keys.evidence("d", "e"), bench.store.keys.held)))
        sizes.append((len(bench.everything()), entries, members))
    assert sizes[-1] == sizes[-3] == sizes[-11]
    assert bench.store.client.exists(f"{bench.store.keys.cases}38")
    assert not bench.store.client.exists(f"{bench.store.keys.cases}30")


def test_a_trim_for_another_close_than_the_last_does_nothing(bench: Bench) -> None:
    bench.apply(*(report(i, 10 * i) for i in range(9)))
    while bench.close() is not None:
        pass
    before = bench.everything()
    bench.store.trim(900)
    assert bench.everything() == before


def test_changes_of_an_open_bucket_can_be_followed(bench: Bench) -> None:
    bench.place([Message(1, ("r", 0, 5), (b"k",))])
    n, counted, _ = bench.store.changes(1, 0)
    assert [case is not None for case in counted.values()] == [True]
    bench.place([Message(1, ("r", 0, 3), (b"k",))])
    _, counted, later = bench.store.changes(1, n)
    assert {position[-2:]: case is not None for position, case in counted.items()} == {"05": False, "03": True}
    assert not later
    bench.place([Message(1, ("r", 0, 9), (b"k",))], version=2)
    _, counted, later = bench.store.changes(1, n)
    assert {position[-2:]: case.version for position, case in later.items()} == {"09": 2}
