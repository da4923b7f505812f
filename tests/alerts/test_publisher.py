from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from streams.alerts.publisher import Publisher
from streams.alerts.revisions import Revision
from streams.detect.progress import advance
from streams.detect.time import Timing
from streams.events import MICRO, Alert, Assessment, Table, Tick, Versions, decode_alert, encode
from streams.state.parts import CloseResult
from streams.state.server import RedisServer
from streams.state.store import Store, StoreSettings

TIMING = Timing(10, 3)


def an_alert(alert_id: str, state: Any, bucket: int) -> Alert:
    return Alert(
        id=alert_id, monitor="m", drug="d", event="e", kind="signal", level="early", state=state, status="new",
        raised_at="", bucket=bucket, decided=bucket, cases=1, table=Table(0, 0, 0, 0, 0), statistic=0, threshold=0,
        measures={}, evidence=[], evidence_omitted=0, versions=Versions("", "", "", None),
    )  # fmt: skip


class Publishing(Publisher):
    """A publisher whose records reach the topic at once."""

    def __init__(self, store: Store, records: list[tuple[str, bytes]]) -> None:
        super().__init__(store)
        self.records = records

    def publish(self) -> list[Revision]:
        messages = self.prepare()
        self.records += [(message.revision.id, message.value) for message in messages]
        return [message.revision for message in messages]


class Topic:
    """A compacted topic with its publishers."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.records: list[tuple[str, bytes]] = []

    def publisher(self) -> Publishing:
        """A new one that has read the topic."""
        publisher = Publishing(self.store, self.records)
        for key, value in self.records:
            publisher.observe(key, value)
        return publisher

    def shown(self) -> list[tuple[str, str, int]]:
        return [(key, alert.state, alert.bucket) for key, alert in ((k, decode_alert(v)) for k, v in self.records)]


class Log:
    """Fills the store: one case a bucket, closes that raise what they are told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sources = dict(store.positions().sources)
        self.at = 0

    def apply(self, *times: int, tick: int | None = None) -> None:
        offset = self.sources["r", 0].next
        records: list[Any] = [
            Assessment("r", 0, offset + i, offset + i, t, str(offset + i), 1, 0, ["d"], ["e"], [MICRO])
            for i, t in enumerate(times)
        ]
        if tick is not None:
            records.append(Tick("r", 0, offset + len(times), tick))
        step = advance(self.sources, records, TIMING)
        self.store.apply(0, self.at, self.at + len(records), step)
        self.sources.update(step.sources)
        self.at += len(records)

    def close(self, *raised: str, state: str = "raised") -> int:
        closing = self.store.closable()
        assert closing is not None
        entries = self.store.entries(closing)
        assert entries is not None
        alerts = [(i, encode(an_alert(i, state, closing.bucket))) for i in raised]
        result = CloseResult({}, b"", entries, [], [], alerts, f"{closing.chain}.", b"")
        chunks = self.store.chunks(closing, result)
        assert all(self.store.write_chunk(closing, chunk) for chunk in chunks)
        assert self.store.commit_close(closing, chunks, result)
        return closing.bucket

    def propose(self, alert_id: str, bucket: int) -> int:
        return self.store.propose_provisional([(alert_id, bucket, encode(an_alert(alert_id, "provisional", bucket)))])


@pytest.fixture
def store(redis_server: RedisServer, unique: Callable[[str], str]) -> Iterator[Store]:
    store = Store.connect(redis_server.url, StoreSettings(unique("publisher"), "h", (("r", 0),), 3, 5))
    yield store
    store.close()


def test_what_is_raised_is_published_once(store: Store) -> None:
    log, topic = Log(store), Topic(store)
    log.apply(5, 60)
    publisher = topic.publisher()
    assert publisher.publish() == []
    log.close("a", "b")
    assert publisher.publish() == [Revision("a", (True, 0, False)), Revision("b", (True, 0, False))]
    assert publisher.publish() == [], "it does not wait to see its own records"
    for key, value in topic.records:
        publisher.observe(key, value)
    assert publisher.publish() == []
    assert topic.publisher().publish() == []


def test_a_provisional_alert_is_raised_or_withdrawn_at_the_close(store: Store) -> None:
    log, topic = Log(store), Topic(store)
    log.apply(5, tick=6)
    assert log.propose("a", 0) == log.propose("b", 0) == 1
    assert log.propose("a", 0) == 0, "already there"
    publisher = topic.publisher()
    publisher.publish()
    for key, value in topic.records:
        publisher.observe(key, value)
    log.apply(60)
    log.close("a")
    publisher.publish()
    assert topic.shown()[2:] == [("a", "raised", 0), ("b", "withdrawn", 0)]
    assert log.propose("a", 6) == 0, "a raised alert is never provisional again"
    assert log.propose("c", 0) == 0, "the bucket is closed"


def test_a_provisional_alert_is_withdrawn_when_its_bucket_will_never_close(store: Store) -> None:
    """Its only case turned out to be a duplicate: the bucket is passed over, no close comes."""
    log, topic = Log(store), Topic(store)
    log.apply(5)
    log.close() if store.closable() else None
    log.propose("a", 3)
    publisher = topic.publisher()
    publisher.publish()
    log.apply(5, tick=100)
    while store.closable():
        log.close()
    assert store.base().closed == 0
    for key, value in topic.records:
        publisher.observe(key, value)
    publisher.publish()
    assert topic.shown() == [("a", "provisional", 3), ("a", "withdrawn", 3)]


def test_an_older_revision_on_top_is_mended(store: Store) -> None:
    log, topic = Log(store), Topic(store)
    log.apply(5, 15, 60)
    log.close("a")
    slow = topic.publisher()
    held = slow.prepare()
    log.close("a", state="updated")
    publisher = topic.publisher()
    publisher.publish()
    topic.records += [(m.revision.id, m.value) for m in held]
    for key, value in topic.records:
        publisher.observe(key, value)
    publisher.publish()
    assert topic.shown() == [("a", "updated", 1), ("a", "raised", 0), ("a", "updated", 1)]


def test_a_record_that_was_not_delivered_is_sent_again(store: Store) -> None:
    log, topic = Log(store), Topic(store)
    log.apply(5, 60)
    log.close("a")
    publisher = topic.publisher()
    (revision,) = publisher.publish()
    publisher.failed(revision)
    assert publisher.publish() == [revision]


def test_a_tombstone_brings_the_alert_back(store: Store) -> None:
    log, topic = Log(store), Topic(store)
    log.apply(5, 60)
    log.close("a")
    publisher = topic.publisher()
    publisher.publish()
    publisher.observe(*topic.records[0])
    publisher.observe("a", None)
    assert len(publisher.publish()) == 1


def test_a_redis_that_was_set_back_and_went_another_way_is_noticed(store: Store) -> None:
    """Redis reaches the same number of changes by other ones: the publisher must not go on from its cursor."""
    log, topic = Log(store), Topic(store)
    log.apply(5, tick=6)
    names = store.client.keys(f"{store.keys.prefix}*")
    snapshot = {name: store.client.dump(name) for name in names}
    publisher = topic.publisher()
    log.propose("a", 0)
    publisher.publish()
    store.client.delete(*store.client.keys(f"{store.keys.prefix}*"))
    for name, value in snapshot.items():
        store.client.restore(name, 0, value)
    log.propose("b", 0)
    assert publisher.publish() == [Revision("b", (False, 0, False))]
    assert not store.alerts_since(store.alerts_since("").cursor).restart
    assert store.alerts_since("1:elsewhere").restart


def test_an_emptied_redis_takes_nothing_back(store: Store) -> None:
    log, topic = Log(store), Topic(store)
    log.apply(5, 60)
    log.close("a")
    publisher = topic.publisher()
    publisher.publish()
    store.wipe()
    assert publisher.publish() == []
    rebuilt = Log(store)
    rebuilt.apply(5, 60)
    assert rebuilt.propose("a", 0) == 1, "Redis does not know any more that it was raised"
    assert publisher.publish() == []
    rebuilt.close("a")
    assert publisher.publish() == []
    assert topic.shown() == [("a", "raised", 0)]


def test_history_lists_raised_alerts_by_close_and_id(store: Store) -> None:
    log = Log(store)
    log.apply(5, 15, 25, 90)
    log.close("b", "a")
    log.close()
    log.close("a", state="updated")
    found = [(b, [msgspec.json.decode(r)["id"] for r in records]) for b, records in store.history()]
    assert found == [(0, ["a", "b"]), (2, ["a"])]
    assert [b for b, _ in store.history(after=0)] == [2]
    assert store.alert_counts() == {"raised": 2, "provisional": 0}
    raised = store.raised_alerts(2)
    assert raised is not None
    assert [(i, decode_alert(r).bucket) for i, r in raised.items()] == [("a", 2), ("b", 0)]
