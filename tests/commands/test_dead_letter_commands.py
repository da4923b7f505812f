"""`vigilia dead-letters` on a real log: never the bytes, and sending them again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.events import Assessment, DeadLetter
from streams.subscribers.reading import TopicReader

pytestmark = pytest.mark.kafka
SECRET = b"\xffMrs Margarethe Quellwasser, 48"


@pytest.fixture
def letters(world: Any) -> Any:
    """Three dead letters on the reports (the first deleted by retention) and one on the notes."""
    world.send(world.reports, 0, [b"deleted", SECRET, b"fine"], {"content-type": b"text/plain"})
    world.send(world.reports, 0, [SECRET + b"!"])
    world.send(world.notes, 0, [b"{}"])
    world.delete_before(world.reports, 0, 1)

    def dead(topic: str, offset: int, reason: str, time: int) -> DeadLetter:
        return DeadLetter(topic, 0, offset, offset, reason, "not UTF-8", time)

    fine = Assessment(world.reports, 0, 2, 2, 0, "c", 1, 0, ["D"], ["E"], [1_000_000])
    world.assess(
        [
            dead(world.reports, 0, "unreadable", 1_000),
            dead(world.reports, 1, "unreadable", 3_000),
            dead(world.reports, 1, "unreadable", 3_000),  # assess was restarted
            fine,
            dead(world.reports, 3, "unreadable", 2_000),
            dead(world.notes, 0, "schema_mismatch", 4_000),
        ]
    )
    return world


def listed(vigilia: Callable[..., Any], world: Any, *args: str) -> list[dict[str, Any]]:
    result = vigilia("dead-letters", "-m", world.path, "--json", *args)
    assert result.status == 0
    return [json.loads(line) for line in result.out.splitlines()]


def source(world: Any, topic: str) -> list[tuple[int, bytes, list[tuple[str, bytes]]]]:
    with TopicReader(world.settings, topic) as reader:
        return [(m.offset(), m.value(), m.headers() or []) for m in reader.messages()]


def test_the_list_is_in_order_of_time_and_never_shows_the_bytes(vigilia: Callable[..., Any], letters: Any) -> None:
    found = listed(vigilia, letters)
    assert [(x["at"].removeprefix(letters.monitor.name), x["reason"]) for x in found] == [
        ("-reports/0/0", "unreadable"), ("-reports/0/3", "unreadable"), ("-reports/0/1", "unreadable"),
        ("-notes/0/0", "schema_mismatch"),
    ]  # fmt: skip
    table = vigilia("dead-letters", "-m", letters.path)
    assert "1970-01-01 00:00:03" in table.out
    assert table.err == "4 dead letters\n"
    assert "Quellwasser" not in table.out + table.err


def test_the_list_can_be_of_one_reason_and_of_the_newest(vigilia: Callable[..., Any], letters: Any) -> None:
    assert [x["at"] for x in listed(vigilia, letters, "--reason", "schema_mismatch")] == [f"{letters.notes}/0/0"]
    assert [x["timestamp"] for x in listed(vigilia, letters, "--limit", "2")] == [3_000, 4_000]


def test_a_retry_sends_the_same_bytes_with_their_coordinates_and_tells_what_is_gone(
    vigilia: Callable[..., Any], letters: Any
) -> None:
    result = vigilia("dead-letters", "retry", "-m", letters.path, "--reason", "unreadable")
    assert result.status == 1
    assert f"{letters.reports}/0/0: its bytes are gone, the topic's retention has deleted them\n" in result.err
    assert result.out == "2 sent again, 1 gone, 0 refused\n"
    assert [(offset, value) for offset, value, _ in source(letters, letters.reports)] == [
        (1, SECRET), (2, b"fine"), (3, SECRET + b"!"), (4, SECRET), (5, SECRET + b"!")
    ]  # fmt: skip
    headers = [headers for offset, _, headers in source(letters, letters.reports) if offset >= 4]
    assert headers == [
        [("content-type", b"text/plain"), ("vigilia-retry-of", f"{letters.reports}/0/1".encode())],
        [("vigilia-retry-of", f"{letters.reports}/0/3".encode())],
    ]


def test_what_was_retried_is_left_out_unless_it_is_wanted_again(vigilia: Callable[..., Any], letters: Any) -> None:
    place = f"{letters.notes}/0/0"
    assert vigilia("dead-letters", "retry", "-m", letters.path, "--at", place).out.startswith("1 sent again")
    letters.assess([DeadLetter(letters.notes, 0, 1, 1, "schema_mismatch", "", 9_000, retry_of=place)])
    found = listed(vigilia, letters, "--reason", "schema_mismatch")
    assert [(x["at"], x.get("retried_as"), x.get("retry_of")) for x in found] == [
        (place, f"{letters.notes}/0/1", None), (f"{letters.notes}/0/1", None, place)
    ]  # fmt: skip
    again = vigilia("dead-letters", "retry", "-m", letters.path, "--reason", "schema_mismatch", "--json")
    assert json.loads(again.out)["sent"] == [f"{letters.notes}/0/1"]
    assert source(letters, letters.notes)[-1][2] == [("vigilia-retry-of", f"{letters.notes}/0/1".encode())]
    named = vigilia("dead-letters", "retry", "-m", letters.path, "--at", place, "--json")
    assert (json.loads(named.out)["sent"], json.loads(named.out)["left_out"]) == ([], {place: f"{letters.notes}/0/1"})
    wanted = vigilia("dead-letters", "retry", "-m", letters.path, "--at", place, "--again", "--json")
    assert json.loads(wanted.out)["sent"] == [place]


def test_what_was_retried_and_is_not_assessed_yet_is_not_sent_twice(vigilia: Callable[..., Any], letters: Any) -> None:
    """Nothing reads the source topics here: what the first retry sent waits there."""
    first = vigilia("dead-letters", "retry", "-m", letters.path)
    assert first.out == "3 sent again, 1 gone, 0 refused\n"
    end = {topic: len(source(letters, topic)) for topic in (letters.reports, letters.notes)}
    second = vigilia("dead-letters", "retry", "-m", letters.path)
    assert second.out == "0 sent again, 1 gone, 0 refused\n"
    assert "3 left out: sent again before; --again sends them once more\n" in second.err
    assert {topic: len(source(letters, topic)) for topic in end} == end


def test_a_message_that_is_sent_again_twice_counts_once(vigilia: Callable[..., Any], world: Any) -> None:
    """A report that an older version refused counts now; so does its second copy, as a duplicate of the first."""
    report = {"type": "adverse_event", "case_id": "c1", "products": [{"name": "Ain"}], "events": ["Rash"]}
    world.send(world.reports, 1, [json.dumps(report).encode()])
    world.assess([DeadLetter(world.reports, 1, 0, 0, "schema_mismatch")])
    assert vigilia("dead-letters", "retry", "-m", world.path).out.startswith("1 sent again")
    assert vigilia("dead-letters", "retry", "-m", world.path, "--again").out.startswith("1 sent again")
    admin = AdminClient(world.settings.kafka())
    offsets = [TopicPartition(world.reports, 1, 1)]  # the older version had read up to here
    group = ConsumerGroupTopicPartitions(f"{world.monitor.name}.assess", offsets)
    admin.alter_consumer_group_offsets([group])[group.group_id].result(30)
    command = [sys.executable, "-m", "streams.cli", "run", "--drain", "-m", str(world.path)]
    subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    assert world.store.counters() == {"counted": 1, "duplicate": 1, "dead_letter:schema_mismatch": 1}
    assert vigilia("audit", "-m", world.path).out.endswith("0 lost, 0 counted twice, 0 differences\n")


def test_only_a_dead_letter_can_be_retried(vigilia: Callable[..., Any], letters: Any) -> None:
    end = len(source(letters, letters.reports))
    for place, told in ((f"{letters.reports}/0/2", "no dead letter at"), ("nonsense", "coordinates look like")):
        result = vigilia("dead-letters", "retry", "-m", letters.path, "--at", place)
        assert result.status == 2
        assert told in result.err
    assert len(source(letters, letters.reports)) == end


def test_a_retried_message_stays_in_its_partition(vigilia: Callable[..., Any], world: Any) -> None:
    world.send(world.reports, 1, [b"x"])
    world.assess([DeadLetter(world.reports, 1, 0, 0, "unreadable")])
    assert vigilia("dead-letters", "retry", "-m", world.path).status == 0
    consumer = Consumer({**world.settings.kafka(), "group.id": "x"})
    assert consumer.get_watermark_offsets(TopicPartition(world.reports, 1), timeout=10) == (0, 2)
    consumer.close()


def test_the_monitor_must_be_named(vigilia: Callable[..., Any], world: Any) -> None:
    assert vigilia("dead-letters").status == 2
    assert vigilia("dead-letters", "-m", world.path, "retry").status == 0


def test_a_retry_is_read_by_the_worker_which_says_what_it_repeats(vigilia: Callable[..., Any], world: Any) -> None:
    world.send(world.notes, 0, [b"{}"])

    def work() -> None:
        command = [sys.executable, "-m", "streams.cli", "run", "--drain", "-m", str(world.path)]
        try:
            subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
        except subprocess.TimeoutExpired as error:
            pytest.fail(f"the worker did not end: {error.stderr!r:.5000}")

    work()
    assert vigilia("dead-letters", "retry", "-m", world.path).out == "1 sent again, 0 gone, 0 refused\n"
    work()
    first, second = (f"{world.notes}/0/{offset}" for offset in (0, 1))
    found = listed(vigilia, world)
    assert [(x["at"], x.get("retry_of"), x.get("retried_as")) for x in found] == [
        (first, None, second), (second, first, None)
    ]  # fmt: skip
    assert vigilia("audit", "-m", world.path).out.endswith("0 lost, 0 counted twice, 0 differences\n")
