"""Loading onto a real Kafka: everything arrives, in order, under its case id; what does not is counted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click import UsageError
from click.testing import CliRunner
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.commands.load import command as load_command
from streams.errors import BrokerUnavailable, ConfigurationError, TopicMissing
from streams.events import AdverseEvent, Product, encode
from streams.intake.lines import LONGEST_LINE, read_lines
from streams.intake.loader import LoadSummary, Outgoing, load
from streams.settings import Settings

pytestmark = pytest.mark.kafka
Unique = Callable[[str], str]


def create(kafka: str, topic: str, partitions: int) -> str:
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result()
    return topic


def consume(kafka: str, topic: str, partitions: int, number: int) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    messages: list[Message] = []
    deadline = time.monotonic() + 20
    while len(messages) < number and time.monotonic() < deadline:
        messages += consumer.consume(1000, 0.5)
    messages += consumer.consume(1000, 0.5)
    consumer.close()
    assert all(message.error() is None for message in messages)
    return messages


def settings(kafka: str) -> Settings:
    return Settings(bootstrap_servers=kafka)


def a_report(case_id: str, version: int = 1) -> AdverseEvent:
    return AdverseEvent(case_id, [Product("Alpha")], ["Rash"], version=version, received_at=600_000_000_000)


def test_versions_of_a_case_stay_in_order_in_one_partition(kafka: str, unique: Unique) -> None:
    topic = create(kafka, unique("reports"), 4)
    reports = [a_report(f"C{i % 50}", 1 + i // 50) for i in range(500)]
    before = time.time() * 1000
    progress: list[int] = []
    summary = load(reports, topic, settings(kafka), lambda s: progress.append(s.delivered))
    assert (summary.sent, summary.delivered, summary.complete) == (500, 500, True)
    assert progress[-1] == 500
    messages = consume(kafka, topic, 4, 500)
    assert sorted(m.value() for m in messages) == sorted(map(encode, reports))
    assert len({m.partition() for m in messages}) > 1
    where: dict[bytes, list[tuple[int, int]]] = {}
    for m in messages:
        content = json.loads(m.value())
        assert m.key() == content["case_id"].encode()
        where.setdefault(m.key(), []).append((m.partition(), content["version"]))
        assert m.timestamp()[1] >= before - 1000, "stamped with now, not with the report's time"
    for visits in where.values():
        assert visits == [(visits[0][0], version) for version in range(1, 11)]


def test_messages_that_are_no_messages_are_sent_as_they_are(kafka: str, unique: Unique) -> None:
    topic = create(kafka, unique("reports"), 3)
    broken = [b"", b"\xff", b"[" * 1000, b'{"case_id": 7}', b'{"case_id": "\\ud800"}', b'{"case_id": "K"}']
    assert load(broken, topic, settings(kafka)).complete
    messages = consume(kafka, topic, 3, len(broken))
    assert sorted(m.value() or b"" for m in messages) == sorted(broken)
    assert len({m.partition() for m in messages if m.key() is None}) == 1
    assert {m.key() for m in messages} == {None, b"K"}


def test_outgoing_messages_name_their_own_topic(kafka: str, unique: Unique) -> None:
    topics = [create(kafka, unique("a"), 1), create(kafka, unique("b"), 1)]
    summary = load([Outgoing(topics[i % 2], b"k", b"%d" % i) for i in range(10)], None, settings(kafka))
    assert summary.topics == {topics[0]: 5, topics[1]: 5}
    assert [m.value() for m in consume(kafka, topics[1], 1, 5)] == [b"1", b"3", b"5", b"7", b"9"]


def test_what_kafka_refuses_is_counted_with_the_reason(kafka: str, unique: Unique) -> None:
    topic = create(kafka, unique("reports"), 1)
    noise = bytes(range(256)) * 80_000  # 20 MB: more than the client sends
    summary = load([encode(a_report("1")), noise, encode(a_report("2"))], topic, settings(kafka))
    assert (summary.sent, summary.delivered, summary.complete) == (3, 2, False)
    assert summary.failed == {"MSG_SIZE_TOO_LARGE": 1}


def test_a_missing_topic_is_told_before_anything_is_sent(kafka: str, unique: Unique) -> None:
    with pytest.raises(TopicMissing, match="no topic"):
        load([a_report("1")], unique("absent"), settings(kafka))


def test_a_broker_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.intake.loader.CONNECT_SECONDS", 1.0)
    with pytest.raises(BrokerUnavailable):
        load([a_report("1")], "t", Settings(bootstrap_servers="127.0.0.1:1"))


def test_vigilia_load_sends_json_lines(
    kafka: str, unique: Unique, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGILIA_BOOTSTRAP_SERVERS", kafka)
    topic = create(kafka, unique("reports"), 1)
    file = tmp_path / "reports.jsonl"
    file.write_bytes(encode(a_report("1")) + b"\r\n\n" + b"not json\n" + encode(a_report("2")))
    result = CliRunner().invoke(
        load_command, ["json", str(file), "--topic", topic, "--json"], standalone_mode=False, catch_exceptions=False
    )
    assert result.return_value == 0
    summary = json.loads(result.stdout)
    assert (summary["topic"], summary["sent"], summary["delivered"], summary["failed"]) == (topic, 3, 3, {})
    assert [m.value() for m in consume(kafka, topic, 1, 3)] == [
        encode(a_report("1")),
        b"not json",
        encode(a_report("2")),
    ]


def test_vigilia_load_sends_vaers(
    kafka: str, unique: Unique, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGILIA_BOOTSTRAP_SERVERS", kafka)
    topic = create(kafka, unique("reports"), 1)
    arguments = ["vaers", str(shared_data / "vaers_1990_2006"), "--from", "1999-03-01", "--to", "1999-03-03"]
    result = CliRunner().invoke(load_command, [*arguments, "--topic", topic], standalone_mode=False)
    assert result.return_value == 0, result.output
    days = [json.loads(m.value())["received_at"] // 86_400_000 for m in consume(kafka, topic, 1, 100)]
    assert days == sorted(days)
    assert {days[0], days[-1]} == {10_651, 10_653}  # 1999-03-01 and -03, in days since 1970
    assert f"{len(days):,} messages delivered" in result.output


def test_vigilia_load_creates_the_topic_of_its_monitor(
    kafka: str, unique: Unique, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGILIA_BOOTSTRAP_SERVERS", kafka)
    topic = unique("reports")
    monitor = tmp_path / "monitor.toml"
    monitor.write_text(f'name = "m"\n[[sources]]\ntopic = "{topic}"\npartitions = 3\n')
    file = tmp_path / "reports.jsonl"
    file.write_bytes(encode(a_report("1")))
    result = CliRunner().invoke(
        load_command, ["json", str(file), "--monitor", str(monitor)], standalone_mode=False, catch_exceptions=False
    )
    assert result.return_value == 0
    assert len(AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics[topic].partitions) == 3


def test_vigilia_load_asks_where_to(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say where to"):
        CliRunner().invoke(load_command, ["json", "-"], standalone_mode=False, catch_exceptions=False)
    with pytest.raises(ConfigurationError, match="several source topics"):
        CliRunner().invoke(load_command, ["json", "-", "-m", "demo"], standalone_mode=False, catch_exceptions=False)


def test_summary_is_complete_only_if_all_was_acknowledged() -> None:
    assert LoadSummary(sent=2, delivered=2).complete
    assert not LoadSummary(sent=2, delivered=1).complete


def test_lines_keep_their_numbers_and_end_somewhere(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"a\n\n  \r\nb\r\n" + b"x" * (2 * LONGEST_LINE + 5) + b"\nc")
    lines = [(number, len(line), line[:1]) for number, line in read_lines(file)]
    assert lines == [(1, 1, b"a"), (4, 1, b"b"), (5, LONGEST_LINE, b"x"), (6, 1, b"c")]
