"""`vigilia history verify`: whatever is done to the history of alerts or reviews afterwards is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streams.events import Alert, decode_alert, encode
from streams.reviews import Reviews

pytestmark = pytest.mark.kafka


@pytest.fixture
def history(world: Any, vigilia: Callable[..., Any]) -> list[tuple[int, list[bytes]]]:
    """The alert history of the filled monitor: at least two closes, or there is nothing to change places."""
    world.fill(days=80)
    world.detect()
    closes = list(world.store.history())
    assert sum(len(records) for _, records in closes) >= 2
    return closes


def proved(vigilia: Callable[..., Any], world: Any, *args: str) -> dict[str, Any]:
    result = vigilia("history", "verify", "-m", world.path, "--json", *args)
    found: dict[str, Any] = json.loads(result.out)
    assert result.status == (0 if found["whole"] else 1), result.err
    return found


def test_an_untouched_history_is_whole_and_its_head_is_found_again(
    vigilia: Callable[..., Any], world: Any, history: list[tuple[int, list[bytes]]]
) -> None:
    found = proved(vigilia, world)
    newest = decode_alert(history[-1][1][-1])
    assert found["alerts"]["head"] == newest.chain == world.store.base().chain
    assert found["alerts"]["revisions"] == sum(len(records) for _, records in history)
    assert (found["alerts"]["published"], found["alerts"]["fault"]) == (world.store.alert_counts()["raised"], None)
    assert proved(vigilia, world, "--head", str(newest.chain))["whole"]
    assert proved(vigilia, world, "--head", "0" * 64)["heads_missing"] == ["0" * 64]
    shown = vigilia("history", "verify", "-m", world.path)
    assert (shown.status, shown.out.count("whole"), "NOT" in shown.out) == (0, 2, False)


def test_a_revision_that_was_changed_or_taken_out_is_the_one_that_is_named(
    vigilia: Callable[..., Any], world: Any, history: list[tuple[int, list[bytes]]]
) -> None:
    redis, keys = world.store.client, world.store.keys
    bucket, (first, *_) = history[0]
    alert = decode_alert(first)
    later = decode_alert(history[1][1][0])
    name = f"{keys.alarms}{bucket}"
    redis.lset(name, 0, encode(msgspec.structs.replace(alert, cases=alert.cases + 1)))
    assert f"revision 1, alert {alert.id} in the close of bucket {bucket}" in proved(vigilia, world)["alerts"]["fault"]
    redis.lset(name, 0, first)
    assert proved(vigilia, world)["whole"]
    redis.delete(name)
    redis.zrem(keys.history, bucket)
    fault = proved(vigilia, world)["alerts"]["fault"]
    assert f"revision 1, alert {later.id}" in fault
    shown = vigilia("history", "verify", "-m", world.path)
    assert (shown.status, "NOT whole: first broken is revision 1" in shown.out) == (1, True)


def test_an_end_that_was_cut_off_does_not_fit_the_head_in_redis(
    vigilia: Callable[..., Any], world: Any, history: list[tuple[int, list[bytes]]]
) -> None:
    redis, keys = world.store.client, world.store.keys
    bucket, records = history[-1]
    redis.rpop(f"{keys.alarms}{bucket}")
    assert "later ones are gone" in proved(vigilia, world)["alerts"]["fault"]
    before = decode_alert(records[-2] if len(records) > 1 else history[-2][1][-1])
    redis.hset(keys.meta, "chain", str(before.chain))
    fault = proved(vigilia, world)["alerts"]["fault"]
    assert "Redis has another history" in fault, "the alerts topic remembers"


def test_a_revision_that_was_only_published_is_no_part_of_the_history(
    vigilia: Callable[..., Any], world: Any, history: list[tuple[int, list[bytes]]]
) -> None:
    alert: Alert = decode_alert(history[-1][1][-1])
    forged = msgspec.structs.replace(alert, id="f" * 20, chain="0" * 64)
    world.send(world.settings.alerts_topic, 0, [encode(forged)])
    assert f"alert {forged.id}" in proved(vigilia, world)["alerts"]["fault"]


def test_a_review_that_was_deleted_is_named(vigilia: Callable[..., Any], world: Any) -> None:
    assert vigilia("history", "verify").status == 0, "no topic, no reviews, nothing broken"
    from tests.commands.test_review_commands import an_alert

    with Reviews(world.settings) as reviews:
        entries = [reviews.add(an_alert(), "comment", who="anna", why=f"{n}") for n in range(3)]
    whole = json.loads(vigilia("history", "verify", "--json").out)
    assert (whole["whole"], whole["reviews"]["entries"], whole["alerts"]) == (True, 3, None)
    assert whole["reviews"]["head"] == entries[-1].name
    world._producer.produce(world.settings.reviews_topic, None, entries[1].name, 0)
    assert world._producer.flush(30) == 0
    result = vigilia("history", "verify")
    assert (result.status, f"entry {entries[1].name[:12]} was deleted" in result.out) == (1, True)
    assert "not whole" in vigilia("review", "list").err
