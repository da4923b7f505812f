from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.assess.sequencer import Sequencer, Ticket
from streams.errors import StateConflict
from streams.events import AssessmentRecord, DeadLetter, Gap, Tick


def stub(ticket: Ticket) -> DeadLetter:
    return DeadLetter("r", 0, ticket.lo, ticket.offset, "x")


def covered(record: AssessmentRecord) -> tuple[int, int]:
    assert not isinstance(record, Tick)
    return (record.lo, record.offset)


def test_records_leave_in_the_order_in_which_their_messages_were_read() -> None:
    s = Sequencer("r", 0, committed=5)
    a, b, c = s.read(5), s.read(6), s.read(9)
    s.submit(c, stub(c))
    s.submit(b, stub(b))
    assert s.release() == []
    s.submit(a, stub(a))
    assert [covered(r) for _, r in s.release()] == [(5, 5), (6, 6), (7, 9)]
    assert s.release() == []


@given(st.lists(st.integers(1, 3), max_size=12), st.data())
def test_records_cover_every_offset_once_whatever_order_they_are_finished_in(
    steps: list[int], data: st.DataObject
) -> None:
    s, offset, tickets, out = Sequencer("r", 0, None), -1, [], []
    for step in steps:
        offset += step
        tickets.append(s.read(offset))
    for ticket in data.draw(st.permutations(tickets)):
        s.submit(ticket, stub(ticket))
        out += [covered(r) for _, r in s.release()]
    assert [x for lo, hi in out for x in range(lo, hi + 1)] == list(range(offset + 1))


@given(st.integers(1, 8), st.data())
def test_the_commit_covers_delivered_records_only(n: int, data: st.DataObject) -> None:
    s = Sequencer("r", 0, None)
    for offset in range(n):
        ticket = s.read(offset)
        s.submit(ticket, stub(ticket))
    delivered: set[int] = set()
    for released in data.draw(st.permutations(s.release())):
        commit = s.delivered(released.ticket)
        delivered.add(released.ticket.offset)
        assert commit == next(x for x in range(n + 1) if x not in delivered)
    assert s.pending == 0


def test_a_failed_delivery_rewinds_to_the_commit_and_voids_what_was_read() -> None:
    s = Sequencer("r", 0, None)
    tickets = [s.read(x) for x in range(4)]
    for ticket in tickets[:3]:
        s.submit(ticket, stub(ticket))
    first, second, third = s.release()
    s.delivered(first.ticket)
    s.delivered(third.ticket)  # the second is not
    assert s.rewind() == 1
    assert s.delivered(second.ticket) == 1, "a report from before the rewind says nothing"
    assert not s.submit(tickets[3], stub(tickets[3]))
    again = s.read(1)
    assert (again.lo, again.offset) == (1, 1)
    assert s.submit(again, stub(again))
    assert [covered(r) for _, r in s.release()] == [(1, 1)]


def test_what_was_deleted_unread_is_an_explicit_record_in_its_place() -> None:
    s = Sequencer("r", 0, committed=2)
    s.gap(2)
    assert s.release() == []
    s.gap(6)
    ((ticket, record),) = s.release()
    assert record == Gap("r", 0, 2, 5)
    assert s.delivered(ticket) == 6
    assert s.read(8).lo == 6


def test_a_tick_carries_the_position_behind_all_that_was_read_and_commits_nothing() -> None:
    s = Sequencer("r", 0, committed=3)
    ticket = s.read(7)
    s.tick(1000)
    assert s.release() == []
    s.submit(ticket, stub(ticket))
    message, tick = s.release()
    assert tick.record == Tick("r", 0, 8, 1000)
    assert s.delivered(tick.ticket) == 3
    assert s.delivered(message.ticket) == 8
    s.tick(2000)
    assert s.delivered(s.release()[0].ticket) == 8


def test_reading_backwards_without_a_rewind_is_a_conflict() -> None:
    s = Sequencer("r", 0, committed=3)
    s.read(4)
    with pytest.raises(StateConflict, match="read 4 after 4"):
        s.read(4)


def test_a_record_must_cover_what_its_ticket_says_and_comes_once() -> None:
    s = Sequencer("r", 0, None)
    ticket = s.read(4)
    with pytest.raises(StateConflict):
        s.submit(ticket, DeadLetter("r", 0, 4, 4, "x"))
    s.submit(ticket, stub(ticket))
    with pytest.raises(StateConflict, match="two records"):
        s.submit(ticket, stub(ticket))
