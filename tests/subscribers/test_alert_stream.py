"""On a real Kafka: what a subscriber sees, and where it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.errors import BrokerUnavailable, SchemaMismatch, TopicMissing
from streams.events import Alert, Table, Versions, encode
from streams.settings import Settings, load_settings
from streams.subscribers import AlertStream
from tools.kafka import Broker, Missing

pytestmark = pytest.mark.kafka

BASE = Alert(
    id="a", monitor="m", drug="RV", event="Intussusception", kind="signal", level="early", state="raised", status="new",
    raised_at="1999-03-03", bucket=1, decided=1, cases=3, table=Table(5, 3, 10, 400, 0.06), statistic=30.0,
    threshold=20.0, measures={}, evidence=[], evidence_omitted=0, versions=Versions("h", "early", "v", None),
)  # fmt: skip


def an_alert(alert_id: str, **changes: Any) -> Alert:
    return msgspec.structs.replace(BASE, id=alert_id, **changes)


class Topic:
    """A topic of alerts: what a publisher would write."""

    def __init__(self, kafka: str, name: str, partitions: int) -> None:
        self.settings = load_settings(bootstrap_servers=kafka, alerts_topic=name)
        self.partitions = partitions
        admin = AdminClient(self.settings.kafka())
        topic = NewTopic(name, partitions, 1, config={"cleanup.policy": "compact"})
        admin.create_topics([topic])[name].result(30)
        self._producer = Producer({**self.settings.kafka(), "linger.ms": 0})

    def write(self, alerts: Sequence[Alert | tuple[str, bytes | None]], partition: int = 0) -> None:
        for alert in alerts:
            key, value = (alert.id, encode(alert)) if isinstance(alert, Alert) else alert
            self._producer.produce(self.settings.alerts_topic, value, key, partition)
        assert self._producer.flush(30) == 0

    def committed(self, group: str) -> dict[int, int]:
        consumer = Consumer({**self.settings.kafka(), "group.id": group})
        asked = [TopicPartition(self.settings.alerts_topic, p) for p in range(self.partitions)]
        found = {tp.partition: tp.offset for tp in consumer.committed(asked, timeout=30)}
        consumer.close()
        return found


@pytest.fixture
def topic(kafka: str, unique: Callable[[str], str]) -> Callable[..., Topic]:
    return lambda partitions=1: Topic(kafka, unique("alerts"), partitions)


async def take(stream: AlertStream, number: int, seconds: float = 30) -> list[Alert]:
    return [await asyncio.wait_for(anext(stream), seconds) for _ in range(number)]


async def nothing_more(stream: AlertStream, seconds: float = 1.5) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(stream), seconds)


def seen(alerts: Sequence[Alert]) -> list[tuple[str, str, int]]:
    return [(alert.id, alert.state, alert.bucket) for alert in alerts]


def test_what_is_there_ends_and_gives_the_newest_revision_of_each_alert_in_order(topic: Callable[..., Topic]) -> None:
    alerts = topic(2)
    alerts.write([an_alert("b", state="provisional", bucket=3), an_alert("b", bucket=3), an_alert("c", bucket=9)])
    alerts.write([an_alert("b", state="withdrawn", bucket=8), an_alert("c", state="updated", bucket=12)])
    alerts.write([an_alert("a", bucket=4)], partition=1)

    async def read() -> list[Alert]:
        async with AlertStream(alerts.settings, follow=False) as stream:
            return [alert async for alert in stream]

    assert seen(asyncio.run(read())) == [("b", "raised", 3), ("a", "raised", 4), ("c", "updated", 12)]


def test_an_empty_topic_has_no_alerts_and_a_missing_one_is_named(topic: Callable[..., Topic]) -> None:
    alerts = topic(3)

    async def read(settings: Settings) -> list[Alert]:
        async with AlertStream(settings, follow=False) as stream:
            return [alert async for alert in stream]

    assert asyncio.run(read(alerts.settings)) == []
    missing = alerts.settings.model_copy(update={"alerts_topic": "no-such-topic"})
    with pytest.raises(TopicMissing, match="no-such-topic"):
        asyncio.run(read(missing))


def test_a_broker_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.subscribers.alerts.REQUEST_SECONDS", 1.0)

    async def read() -> None:
        async with AlertStream(load_settings(bootstrap_servers="127.0.0.1:1")):
            pass

    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        asyncio.run(read())


def test_a_follower_sees_each_revision_once_and_never_a_lower_one(topic: Callable[..., Topic]) -> None:
    alerts = topic()
    alerts.write([an_alert("a", state="provisional", bucket=1)])

    async def read() -> list[Alert]:
        async with AlertStream(alerts.settings) as stream:
            got = await take(stream, 1)
            alerts.write([an_alert("a", bucket=1), an_alert("a", state="withdrawn", bucket=1), an_alert("a", bucket=1)])
            alerts.write([an_alert("a", state="updated", bucket=2), an_alert("b", bucket=2)])
            got += await take(stream, 3)
            await nothing_more(stream)
            return got

    assert seen(asyncio.run(read())) == [
        ("a", "provisional", 1), ("a", "raised", 1), ("a", "updated", 2), ("b", "raised", 2)
    ]  # fmt: skip


def test_filters_pass_what_fits_and_hide_what_a_newer_revision_replaced(topic: Callable[..., Topic]) -> None:
    alerts = topic()
    alerts.write([an_alert("a", drug="RV"), an_alert("b", drug="IPV", level="strong"), an_alert("c", monitor="other")])
    alerts.write([an_alert("a", drug="RV", state="updated", bucket=2)])

    async def read(**filters: Any) -> list[str]:
        async with AlertStream(alerts.settings, follow=False, **filters) as stream:
            return [alert.id async for alert in stream]

    assert asyncio.run(read(drug="rv")) == ["c", "a"]
    assert asyncio.run(read(level="strong")) == ["b"]
    assert asyncio.run(read(monitor="other", event="intussusception")) == ["c"]
    assert asyncio.run(read(state={"updated"})) == ["a"]
    assert asyncio.run(read(state="raised")) == ["b", "c"]


def test_from_now_on_shows_only_what_comes_after_and_still_hides_lower_revisions(topic: Callable[..., Topic]) -> None:
    alerts = topic()
    alerts.write([an_alert("a", bucket=5), an_alert("b", bucket=5)])

    async def read() -> list[Alert]:
        async with AlertStream(alerts.settings, from_start=False) as stream:
            await nothing_more(stream)
            alerts.write([an_alert("a", state="provisional", bucket=5), an_alert("b", state="updated", bucket=6)])
            got = await take(stream, 1)
            await nothing_more(stream)
            return got

    assert seen(asyncio.run(read())) == [("b", "updated", 6)]


def test_a_group_goes_on_after_the_alerts_it_took_and_an_alert_in_hand_comes_again(
    topic: Callable[..., Topic], unique: Callable[[str], str]
) -> None:
    alerts, group = topic(), unique("desk")
    alerts.write([an_alert(name) for name in "abcd"])

    async def read(number: int, commit: bool = False) -> list[str]:
        async with AlertStream(alerts.settings, group=group) as stream:
            got = await take(stream, number)
            if commit:
                await stream.commit()
            return [alert.id for alert in got]

    assert asyncio.run(read(2)) == ["a", "b"]
    assert alerts.committed(group) == {0: 1}  # b was in hand
    assert asyncio.run(read(2, commit=True)) == ["b", "c"]
    assert alerts.committed(group) == {0: 3}
    assert asyncio.run(read(1)) == ["d"]


def test_a_group_that_comes_back_still_hides_revisions_lower_than_those_it_saw_before(
    topic: Callable[..., Topic], unique: Callable[[str], str]
) -> None:
    alerts, group = topic(), unique("desk")
    alerts.write([an_alert("a", state="updated", bucket=7)])

    async def read(number: int) -> list[Alert]:
        async with AlertStream(alerts.settings, group=group) as stream:
            got = await take(stream, number)
            await stream.commit()
            return got

    assert seen(asyncio.run(read(1))) == [("a", "updated", 7)]
    alerts.write([an_alert("a", bucket=6), an_alert("b", bucket=8)])  # a zombie publishes late
    assert seen(asyncio.run(read(1))) == [("b", "raised", 8)]


def test_reading_what_is_new_for_a_group_moves_its_position_when_all_is_taken(
    topic: Callable[..., Topic], unique: Callable[[str], str]
) -> None:
    alerts, group = topic(2), unique("cron")
    alerts.write([an_alert("a"), an_alert("b")])

    async def read(stop_after: int | None = None) -> list[str]:
        got = []
        async with AlertStream(alerts.settings, group=group, follow=False) as stream:
            async for alert in stream:
                got.append(alert.id)
                if len(got) == stop_after:
                    break
        return got

    assert asyncio.run(read(stop_after=1)) == ["a"]
    assert asyncio.run(read()) == ["a", "b"]
    assert asyncio.run(read()) == []
    alerts.write([an_alert("c")], partition=1)
    assert asyncio.run(read()) == ["c"]


def test_two_members_of_a_group_share_the_partitions_and_lose_nothing_when_one_leaves(
    topic: Callable[..., Topic], unique: Callable[[str], str]
) -> None:
    alerts, group = topic(2), unique("desk")
    names = {f"{partition}-{i}" for partition in (0, 1) for i in range(40)}
    got: list[str] = []

    async def member(stop_after: int | None) -> None:
        mine = 0
        async with AlertStream(alerts.settings, group=group) as stream:
            async for alert in stream:
                got.append(alert.id)
                mine += 1
                if mine == stop_after:
                    return

    async def both() -> None:
        async with asyncio.timeout(60):
            staying = asyncio.create_task(member(None))
            leaving = asyncio.create_task(member(10))
            for i in range(40):
                for partition in (0, 1):
                    alerts.write([an_alert(f"{partition}-{i}", bucket=i)], partition)
                await asyncio.sleep(0.1)
            await leaving
            while set(got) != names:
                await asyncio.sleep(0.1)
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)

    asyncio.run(both())
    assert set(got) == names
    for partition in (0, 1):
        order = [name for name in got if name.startswith(f"{partition}-")]
        first_times = list(dict.fromkeys(order))
        assert first_times == [f"{partition}-{i}" for i in range(40)]


def test_a_fetch_that_outlives_an_impatient_reader_loses_nothing(topic: Callable[..., Topic]) -> None:
    alerts = topic()

    async def read() -> list[str]:
        got: list[str] = []
        async with AlertStream(alerts.settings) as stream:
            for i in range(20):
                alerts.write([an_alert(f"{i:02}")])
                for _ in range(3):
                    try:
                        got.append((await asyncio.wait_for(anext(stream), 0.02)).id)
                    except TimeoutError:
                        continue
            while len(got) < 20:
                got += [alert.id for alert in await take(stream, 1)]
        return got

    assert asyncio.run(read()) == [f"{i:02}" for i in range(20)]


@pytest.mark.parametrize("follow", [True, False])
def test_a_record_that_is_no_alert_is_an_error_that_names_it_and_can_be_passed(
    topic: Callable[..., Topic], unique: Callable[[str], str], follow: bool
) -> None:
    alerts, group = topic(), unique("desk")
    alerts.write([an_alert("a"), ("x", b'{"id": "Mrs Quellwasser"'), an_alert("b")])

    async def read() -> list[str]:
        got = []
        async with AlertStream(alerts.settings, group=group, follow=follow) as stream:
            if follow:
                got += [alert.id for alert in await take(stream, 1)]
            with pytest.raises(SchemaMismatch, match=f"^{alerts.settings.alerts_topic}/0/1 holds no alert") as error:
                await take(stream, 1)
            assert "Quellwasser" not in str(error.value)
            await stream.commit()
            assert alerts.committed(group)[0] == (1 if follow else -1001)
            got += [alert.id for alert in await take(stream, 1 if follow else 2)]
        return got

    assert asyncio.run(read()) == ["a", "b"]


def test_unreadable_records_can_be_skipped_and_tombstones_are_no_alerts(topic: Callable[..., Topic]) -> None:
    alerts = topic()
    alerts.write(
        [an_alert("a", bucket=9), ("x", b"\xff\x00"), ("a", None), an_alert("a", state="provisional", bucket=2)]
    )

    async def read() -> list[Alert]:
        async with AlertStream(alerts.settings, follow=False, unreadable="skip") as stream:
            return [alert async for alert in stream]

    assert seen(asyncio.run(read())) == [("a", "provisional", 2)]


def test_a_follower_waits_for_a_broker_that_goes_away(kafka: str) -> None:
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(Broker())
        except Missing as error:
            pytest.skip(f"no Kafka of its own: {error}")
        alerts = Topic(broker.bootstrap_servers, "alerts", 1)
        alerts.write([an_alert("before")])

        async def read() -> list[str]:
            async with AlertStream(alerts.settings, group="desk") as stream:
                got = await take(stream, 1)
                await stream.commit()
                await asyncio.to_thread(broker.kill)
                await nothing_more(stream, 3)
                await asyncio.to_thread(broker.start)
                await asyncio.to_thread(alerts.write, [an_alert("after")])
                got += await take(stream, 1, 60)
            return [alert.id for alert in got]

        assert asyncio.run(read()) == ["before", "after"]
