"""Looks at open buckets, on a real Redis: what is kept from look to look changes nothing of what is proposed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams.alerts.open_bucket import OpenBucket
from streams.alerts.provisional import Provisional
from streams.detect.contribution import Contribution
from streams.detect.totals import BucketTotals
from streams.errors import StoreUnavailable
from streams.events import MICRO, Alert, Assessment, CaseFacts, encode
from streams.monitors import AlarmSettings, Monitor, Source
from streams.monitors.rules import Rules
from streams.rules.single import SingleCase
from streams.rules.window import BucketFacts
from streams.state.reading import Changes
from streams.state.server import RedisServer
from streams.worker.detection import Detection

DAY_MS = 86_400_000
START = 10_000
CLOSED_DAYS = 6
# Pairs that stand out fire at their third case; two days stay open.
ALARMS = AlarmSettings(pairs=1_000, false_alarms_per_year=1e9, burn_in_days=0, window_days=30)


@pytest.fixture
def detection(redis_server: RedisServer, unique: Callable[[str], str]) -> Iterator[Detection]:
    monitor = Monitor(name=unique("looks"), sources=(Source(topic="t", partitions=1),), disorder_ms=DAY_MS)
    found = Detection(monitor.model_copy(update={"alarms": ALARMS}), redis_server.url, vocabulary="v")
    found.open()
    found.starts([0])
    yield found
    found.close()


def record(chance: random.Random, offset: int, day: int) -> bytes:
    """A case of one of twelve drugs; each has an event of its own that it brings half of the time."""
    drug = chance.randrange(12)
    event = drug if chance.random() < 0.5 else chance.randrange(20)
    received, case = (START + day) * DAY_MS + chance.randrange(DAY_MS), f"case-{offset}"
    return encode(
        Assessment("t", 0, offset, offset, received, case, 1, 0, [f"drug {drug}"], [f"event {event}"], [MICRO])
    )


def keys(alerts: list[Alert]) -> set[tuple[int, str, str]]:
    return {(alert.bucket, alert.drug, alert.event) for alert in alerts}


@pytest.mark.parametrize("seed", range(3))
def test_looks_case_by_case_propose_what_looks_that_begin_anew_propose(detection: Detection, seed: int) -> None:
    chance, proposed, expected = random.Random(seed), set(), set()
    offset = 0
    for day in range(CLOSED_DAYS):
        values = [record(chance, offset + i, day) for i in range(15)]
        detection.apply(0, offset, offset + len(values), values)
        offset += len(values)
    for step in range(60):
        # Of the two open days, the first gets a case now and then; half-way a bucket closes.
        day = CLOSED_DAYS + (step > 30) + (chance.random() < 0.8)
        detection.apply(0, offset, offset + 1, [record(chance, offset, day)])
        offset += 1
        detection.close_due()
        while detection.store.closable() is not None:
            detection.close_due()
        proposed |= keys(detection.provisional.look())
        expected |= keys(Provisional(detection.closer).look())
        assert proposed == expected
    assert len({bucket for bucket, _, _ in proposed}) >= 2, "alerts of one bucket alone: the stream proves little"


def test_what_could_not_be_proposed_is_found_again_although_nothing_has_changed(
    detection: Detection, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    values = [record(chance, offset, offset // 15) for offset in range(15 * CLOSED_DAYS)]
    detection.apply(0, 0, len(values), values)
    while detection.store.closable() is not None:
        detection.close_due()

    def away(*_: Any) -> None:
        raise StoreUnavailable("Redis is away")

    assert detection.provisional.look()
    more = [record(chance, offset, CLOSED_DAYS) for offset in range(len(values), len(values) + 30)]
    detection.apply(0, len(values), len(values) + len(more), more)
    expected = {key for key in keys(Provisional(detection.closer).look()) if key[0] == START + CLOSED_DAYS}
    assert expected
    with monkeypatch.context() as patch:
        patch.setattr(detection.store, "propose_provisional", away)
        with pytest.raises(StoreUnavailable):
            detection.provisional.look()
    assert keys(detection.provisional.look()) == expected
    assert detection.provisional.look() == []


def test_an_open_bucket_after_changes_is_as_one_that_was_given_its_cases_at_once() -> None:
    chance, rules = random.Random(3), Rules.model_validate({"fatal": {}})
    single = SingleCase(rules)

    def opened() -> OpenBucket:
        return OpenBucket(5, BucketFacts(5, (), rules, single))

    view, kept = opened(), dict[str, Contribution]()
    for _ in range(200):
        offset = chance.randrange(20)
        position = f"t/0/{offset}"
        if chance.random() < 0.3:
            view.take(Changes(0, {position: None}, {}))
            kept.pop(position, None)
            continue
        drugs = tuple(sorted(chance.sample("ABCD", chance.randint(0, 2))))
        case = Contribution(
            position=("t", 0, offset),
            received_at=0,
            case_id=str(offset),
            version=1,
            stratum=chance.randrange(2),
            drugs=drugs,
            events=("x",),
            scores=(MICRO,),
            facts=CaseFacts(fatal=chance.random() < 0.5),
        )
        assert view.take(Changes(0, {position: case}, {})) == (kept.get(position) != case)
        kept[position] = case
        fresh = opened()
        fresh.take(Changes(0, dict(kept), {}))
        assert view.totals == fresh.totals == BucketTotals.of(5, kept.values())
        assert view.facts is not None
        assert fresh.facts is not None
        assert all(getattr(view.facts, name) == getattr(fresh.facts, name) for name in ("matches", "kinds", "drugs"))
        for drug in "ABCD":
            named = {c.position for c in kept.values() if drug in c.drugs}
            assert {c.position for c in view.cases_with([drug])} == named
