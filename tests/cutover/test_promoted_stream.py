"""A promoted stream on a real Kafka: `AlertStream` and the commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.cutover.log import ensure_cutover_topic, write
from streams.cutover.promotion import Standing, Wish, promoting
from streams.events import Alert, Table, Versions, encode
from streams.identity import alert_id
from streams.routing import Decided, Proposed
from streams.settings import Settings, load_settings
from streams.subscribers import AlertStream
from tests.lab import FIRST_DAY, Lab, make_lab, make_successor, reports

pytestmark = pytest.mark.kafka

BASE = Alert(
    id="x", monitor="m", drug="D", event="e", kind="signal", level="early", state="raised", status="new",
    raised_at="1970-01-01", bucket=1, decided=1, cases=3, table=Table(5, 3, 10, 400, 0.06), statistic=30.0,
    threshold=20.0, measures={}, evidence=[], evidence_omitted=0, versions=Versions("h", "early", "v", None),
)  # fmt: skip


def alert(monitor: str, pair: str, bucket: int, state: str = "raised") -> Alert:
    named = alert_id(monitor, pair, "e")
    return msgspec.structs.replace(BASE, id=named, monitor=monitor, drug=pair, bucket=bucket, state=state)


class Topics:
    """An alerts topic and a cutover topic of their own; promotions are written by hand."""

    def __init__(self, kafka: str, name: str) -> None:
        self.settings: Settings = load_settings(
            bootstrap_servers=kafka, alerts_topic=f"{name}-alerts", cutover_topic=f"{name}-cutovers"
        )
        topic = NewTopic(self.settings.alerts_topic, 1, 1, config={"cleanup.policy": "compact"})
        admin = AdminClient(self.settings.kafka())
        admin.create_topics([topic])[topic.topic].result(30)
        self._producer = Producer({**self.settings.kafka(), "linger.ms": 0})

    def publish(self, *alerts: Alert) -> None:
        for each in alerts:
            self._producer.produce(self.settings.alerts_topic, encode(each), each.id)
        assert self._producer.flush(30) == 0

    def propose(self, name: str, monitor: str, bucket: int) -> None:
        ensure_cutover_topic(self.settings)
        write(self.settings, Proposed(name, "old", monitor, bucket, 1, "", "", ""))

    def decide(self, name: str, confirmed: bool = True) -> None:
        write(self.settings, Decided(name, "old", confirmed, "", ""))


@pytest.fixture
def topics(kafka: str, unique: Callable[[str], str]) -> Topics:
    return Topics(kafka, unique("stream"))


async def take(stream: AlertStream, number: int) -> list[tuple[str, str, int, str]]:
    return told([await asyncio.wait_for(anext(stream), 60) for _ in range(number)])


def told(alerts: Sequence[Alert]) -> list[tuple[str, str, int, str]]:
    for each in alerts:
        assert each.id == alert_id("old", each.drug, "e")
    return [(a.monitor, a.drug, a.bucket, a.state) for a in alerts]


async def nothing_more(stream: AlertStream) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(stream), 2.5)


@pytest.mark.parametrize("group", [None, "desk"])
def test_a_follower_gets_each_bucket_from_the_monitor_that_reports_it_and_waits_while_that_is_undecided(
    topics: Topics, group: str | None
) -> None:
    topics.publish(alert("old", "a", 1), alert("new", "a", 1), alert("new", "b", 2))

    async def read() -> None:
        async with AlertStream(topics.settings, stream="old", group=group and topics.settings.alerts_topic) as stream:
            assert await take(stream, 1) == [("old", "a", 1, "raised")]
            topics.publish(alert("old", "c", 4, "provisional"))
            assert await take(stream, 1) == [("old", "c", 4, "provisional")]
            topics.propose("one", "new", 3)
            topics.publish(alert("old", "a", 3, "updated"), alert("new", "a", 3, "updated"), alert("old", "b", 2))
            assert await take(stream, 1) == [("old", "b", 2, "raised")]
            await nothing_more(stream)
            topics.decide("one")
            assert await take(stream, 2) == [("old", "c", 4, "withdrawn"), ("new", "a", 3, "updated")]
            topics.propose("two", "old", 4)
            topics.decide("two", confirmed=False)
            topics.publish(alert("new", "c", 4), alert("old", "c", 5))
            assert await take(stream, 1) == [("new", "c", 4, "raised")]
            await nothing_more(stream)

    asyncio.run(read())


def test_a_group_that_was_away_gets_what_a_rollback_has_made_the_streams_and_nothing_twice(topics: Topics) -> None:
    async def read(number: int) -> list[tuple[str, str, int, str]]:
        async with AlertStream(topics.settings, stream="old", group=topics.settings.alerts_topic) as stream:
            got = await take(stream, number)
            await nothing_more(stream)
            return got

    topics.publish(alert("old", "a", 1))
    topics.propose("one", "new", 2)
    topics.decide("one")
    topics.publish(alert("old", "a", 3, "updated"), alert("new", "b", 2), alert("old", "d", 4))
    assert asyncio.run(read(2)) == [("old", "a", 1, "raised"), ("new", "b", 2, "raised")]
    topics.propose("two", "old", 3)
    topics.decide("two")
    topics.publish(alert("new", "c", 3), alert("old", "e", 5))
    assert asyncio.run(read(3)) == [("old", "a", 3, "updated"), ("old", "d", 4, "raised"), ("old", "e", 5, "raised")]
    topics.publish(alert("old", "f", 6))
    assert asyncio.run(read(1)) == [("old", "f", 6, "raised")]


def test_what_is_there_ends_with_the_newest_of_each_pair_and_raw_readers_see_everything(topics: Topics) -> None:
    async def read(**options: Any) -> list[Alert]:
        async with AlertStream(topics.settings, follow=False, **options) as stream:
            return [each async for each in stream]

    topics.publish(alert("old", "a", 1), alert("new", "a", 2), alert("old", "b", 2), alert("new", "c", 1))
    assert told(asyncio.run(read(stream="old"))) == [("old", "a", 1, "raised"), ("old", "b", 2, "raised")]
    topics.propose("one", "new", 2)
    assert told(asyncio.run(read(stream="old"))) == [("old", "a", 1, "raised")]
    topics.decide("one")
    assert told(asyncio.run(read(stream="old"))) == [("new", "a", 2, "raised")]
    assert len(asyncio.run(read())) == 4
    assert asyncio.run(read(stream="new")) == [a for a in asyncio.run(read(monitor="new")) if a.bucket >= 1]


@pytest.mark.timeout(600)
def test_an_operator_forks_promotes_and_rolls_back_and_a_subscriber_sees_one_history(
    tmp_path: Any, kafka: str, redis_server: Any, unique: Callable[[str], str]
) -> None:
    old = make_lab(tmp_path, unique("old"), kafka, redis_server.url, partitions=1)
    name = old.monitor.name
    old.load(reports(4000, old.topic, days=60))
    old.drain()
    new = make_successor(old, unique("new"))
    assert old.cli("monitor", "fork", str(old.file), str(new.file), "--at", str(FIRST_DAY + 50)).returncode == 0
    new.drain()

    def promote(to: Lab, over: Lab, *options: str) -> Any:
        command = ("promote", str(to.file), "--stream", name, "--over", str(over.file), "--why", "a test", "--json")
        return old.cli(*command, *options)

    with old.store() as store:
        closed = store.base().closed
    assert closed is not None
    refused = promote(new, old, "--at", str(closed))
    assert refused.returncode == 2
    assert f"everything before bucket {closed + 1}" in refused.stderr
    before = old.cli("alerts", "--stream", name, "--json").stdout
    assert json.loads(before.splitlines()[0])["monitor"] == name
    done = promote(new, old)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == [{"bucket": closed + 1, "monitor": new.monitor.name}]
    assert old.cli("alerts", "--stream", name, "--json").stdout == before
    assert promote(old, new).returncode == 0
    shown = old.cli("promote", "--stream", name)
    assert shown.stdout.splitlines()[-1] == f"stream {name}: reported by {name} from bucket {closed + 1} on"
    assert old.cli("alerts", "--stream", name, "--json").stdout == before


def test_a_promotion_broken_off_after_its_proposal_is_finished_or_given_up_by_whoever_asks(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streams.cutover.promotion import KafkaBoard, give_up, settling
    from streams.routing import Step, route_of

    monkeypatch.setattr(KafkaBoard, "standing", lambda _self, _monitor: Standing(4, {alert_id("old", "a", "e"): 3}))
    ensure_cutover_topic(topics.settings)
    topics.publish(alert("old", "a", 3))
    with KafkaBoard(topics.settings, [], "") as board:
        for end in ("finished", "given up"):
            steps = promoting(board, Wish("old", "new", None, 1, "me", "why"))
            assert [next(steps) for _ in range(3)] == ["look", "propose", "scan"]
            steps.close()
            assert route_of("old", board.records()).owner(5) is None
            if end == "given up":
                give_up(board, "old", "another")
                assert route_of("old", board.records()).owner(5) == "old"
            else:
                assert list(settling(board, "old", "another")) == ["scan", "copy", "decide"]
                assert route_of("old", board.records()).steps == (Step(5, "new"),)
                write(topics.settings, Proposed("back", "old", "old", 5, 1, "", "", ""))
                write(topics.settings, Decided("back", "old", True, "", ""))
    copies = [message for message in KafkaBoard(topics.settings, [], "").alerts() if b"@" in message.key]
    assert [message.alert.bucket for message in copies] == [3]
