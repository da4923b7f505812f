"""The review history as entries add up to it: writers that meet, and what is done to it afterwards."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.events import encode
from streams.reviews.entry import DECISIONS, ReviewEntry, name_of
from streams.reviews.history import History, Review

ACTIONS = ("validate", "refute", "close", "comment", "assign")


def entry_of(history: History, **changes: Any) -> ReviewEntry:
    """The entry that a writer who has read `history` makes."""
    values: dict[str, Any] = {
        "number": history.number + 1, "previous": history.head, "alert": "a", "monitor": "m", "drug": "d",
        "event": "e", "kind": "signal", "bucket": 7, "cases": 5, "action": "comment", "who": "anna", "at": 1,
        "why": "because",
    }  # fmt: skip
    return ReviewEntry(**(values | changes))


def record(entry: ReviewEntry) -> tuple[bytes, bytes]:
    value = encode(entry)
    return name_of(value).encode(), value


def read(records: list[tuple[bytes, bytes | None]]) -> History:
    history = History()
    for offset, (key, value) in enumerate(records):
        history.offer(key, value, offset)
    return history


def a_log(n: int) -> list[tuple[bytes, bytes | None]]:
    history, log = History(), []
    for number in range(n):
        entry = entry_of(history, alert=f"a{number % 3}", action=ACTIONS[number % 5], at=number)
        log.append(record(entry))
        history.offer(*log[-1], number)
    return log  # type: ignore[return-value]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(ACTIONS), st.integers(0, 9)), max_size=20))
def test_a_status_is_that_of_the_last_decision_and_remarks_change_nothing(said: list[tuple[str, str, int]]) -> None:
    history, log = History(), []
    for alert, action, cases in said:
        log.append(record(entry_of(history, alert=alert, action=action, cases=cases, assignee=f"{cases}")))
        history.offer(*log[-1], len(log))
    assert (history.faults, history.void, history.number) == ([], [], len(said))
    for alert in "ab":
        own = [(action, cases) for name, action, cases in said if name == alert]
        decisions = [(action, cases) for action, cases in own if action in DECISIONS]
        review = history.of(alert)
        assert review.status == (DECISIONS[decisions[-1][0]] if decisions else "unreviewed")  # type: ignore[index]
        assert review.grown(7) == (max(0, 7 - decisions[-1][1]) if decisions else 0)
        assert review.assignee == next((str(c) for action, c in reversed(own) if action == "assign"), "")
        assert [r.entry.action for r in review.entries] == [action for action, _ in own]


@given(st.data())
def test_of_writers_that_meet_one_stands_each_round_and_all_do_in_the_end(data: st.DataObject) -> None:
    """Each writer reads, writes and looks whether it stands; the log gets them in any order."""
    log: list[tuple[bytes, bytes | None]] = []
    waiting = {f"w{n}": 0 for n in range(data.draw(st.integers(1, 5)))}
    rounds = 0
    while waiting:
        rounds += 1
        entries = {who: record(entry_of(read(log), who=who, at=rounds)) for who in waiting}
        for who in data.draw(st.permutations(sorted(waiting))):
            log.append(entries[who])
        history = read(log)
        stands = [who for who in waiting if entries[who][0].decode() in history]
        assert len(stands) == 1, "exactly one came first"
        del waiting[stands[0]]
    history = read(log)
    assert not history.faults
    assert history.number == rounds
    assert len(history.void) == len(log) - rounds
    assert sorted(r.entry.who for r in history.of("a").entries) == sorted(f"w{n}" for n in range(rounds))


@given(st.integers(2, 12), st.data())
def test_an_entry_that_was_taken_out_is_missed_by_the_next(n: int, data: st.DataObject) -> None:
    log = a_log(n)
    gone = data.draw(st.integers(0, n - 2))
    history = read(log[:gone] + log[gone + 1 :])
    assert [(fault.offset, fault.number) for fault in history.faults] == [(gone, gone + 2)]
    assert "is missing" in history.faults[0].what
    assert history.number == n, "what was said later is not hidden"


@given(st.integers(1, 12), st.data())
def test_an_entry_whose_bytes_were_changed_is_named(n: int, data: st.DataObject) -> None:
    log = a_log(n)
    at = data.draw(st.integers(0, n - 1))
    key, value = log[at]
    changed = msgspec.json.decode(value or b"", type=ReviewEntry)
    log[at] = (key, encode(msgspec.structs.replace(changed, why="something else")))
    history = read(log)
    assert (history.faults[0].offset, history.faults[0].number) == (at, at + 1)
    assert "was changed" in history.faults[0].what
    assert all(r.entry.why == "because" for _, review in history.alerts() for r in review.entries)


@given(st.integers(1, 12), st.data())
def test_neither_a_record_over_an_old_name_nor_a_tombstone_goes_unseen(n: int, data: st.DataObject) -> None:
    """What compaction will later do with the older record of the same key."""
    log = a_log(n)
    at = data.draw(st.integers(0, n - 1))
    key, value = log[at]
    over = encode(msgspec.structs.replace(msgspec.json.decode(value or b"", type=ReviewEntry), action="refute", why=""))
    for last in ((key, over), (key, None)):
        before, after = read(log), read([*log, last])
        assert [fault.offset for fault in after.faults] == [n]
        assert (after.head, dict(after.alerts())) == (before.head, dict(before.alerts()))
        compacted = read([r for r in log if r[0] != key] + [last])
        assert compacted.faults


def test_the_same_record_twice_and_a_field_of_a_newer_vigilia_are_no_fault() -> None:
    log = a_log(3)
    assert read([*log, log[2]]).faults == []
    value = b'{"new_field":1,' + encode(entry_of(read(log)))[1:]
    history = read([*log, (name_of(value).encode(), value)])
    assert (history.faults, history.number) == ([], 4)


def test_what_is_no_entry_is_named_by_its_offset_alone() -> None:
    history = read([(b"k", b'{"why": "Mrs Quellwasser"}'), (None, b"\xff")])
    assert [fault.offset for fault in history.faults] == [0, 1]
    assert "Quellwasser" not in str(history.faults)


def test_nobody_has_said_anything_of_an_alert_that_is_not_in_the_history() -> None:
    assert History().of("a") == Review()
    assert "" not in History()
