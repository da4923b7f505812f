"""`vigilia review` on a real Kafka: what reviewers say stands, in one order, and is joined to the alerts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streams.errors import ConfigurationError
from streams.events import Alert, Table, Versions, encode
from streams.reviews import Reviews
from streams.settings import Settings

pytestmark = pytest.mark.kafka
SECRET = "Margarethe Quellwasser"


def an_alert(alert_id: str = "a" * 20, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "id": alert_id, "monitor": "m", "drug": "RV", "event": "Intussusception", "kind": "signal", "level": "early",
        "state": "raised", "status": "new", "raised_at": "1999-03-03", "bucket": 10_653, "decided": 10_653, "cases": 5,
        "table": Table(5, 100, 10, 20_000, 0.06), "statistic": 100.0, "threshold": 95.2, "measures": {}, "evidence": [],
        "evidence_omitted": 5, "versions": Versions("s", "early/1", "plain-1", None),
    }  # fmt: skip
    return Alert(**(values | changes))


@pytest.fixture
def publish(world: Any) -> Callable[..., Alert]:
    def write(*args: Any, **changes: Any) -> Alert:
        alert = an_alert(*args, **changes)
        world.send(world.settings.alerts_topic, 0, [encode(alert)])
        return alert

    return write


def test_a_review_goes_from_assignment_to_decision_and_is_shown_beside_the_alert(
    vigilia: Callable[..., Any], publish: Callable[..., Alert], monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = publish()
    publish("b" * 20, drug="IPV")
    monkeypatch.setenv("VIGILIA_REVIEWER", "berta")
    assert "unreviewed" in vigilia("alerts").out
    assert vigilia("review", "assign", "aa", "anna").status == 0
    assert "unreviewed, assigned to anna" in vigilia("review", "assign", "bb", "anna", "--why", "same visit").out
    assert vigilia("review", "comment", "aa", "--by", "anna", "--why", "all within a week").status == 0
    decided = vigilia("review", "validate", "aa", "--by", "anna", "--why", "five cases, none with another cause")
    assert decided.out.startswith(f"{alert.id} RV x Intussusception: validated, assigned to anna\n  entry 4, ")

    shown = vigilia("review", "show", "aa").out
    for words in ("berta", "assign to anna, at 5 cases", "all within a week", "five cases, none with another cause"):
        assert words in shown
    (line,) = vigilia("review", "list", "--status", "validated", "--json").out.splitlines()
    found = json.loads(line)
    assert (found["alert"], found["review"]["status"], found["review"]["by"]) == (alert.id, "validated", "anna")
    assert "validated" in vigilia("alerts", "--drug", "rv").out
    (line,) = vigilia("alerts", "--drug", "rv", "--json").out.splitlines()
    assert json.loads(line)["review"]["status"] == "validated"
    assert msgspec.json.decode(line, type=Alert) == alert, "beside the review it is as published"
    assert vigilia("review", "list", "--assigned", "anna", "--status", "unreviewed", "--json").out.count("\n") == 1


def test_new_evidence_after_a_decision_is_counted_and_may_be_decided_anew(
    vigilia: Callable[..., Any], publish: Callable[..., Alert]
) -> None:
    publish()
    assert vigilia("review", "refute", "aa", "--why", "known confounder").status == 0
    again = vigilia("review", "refute", "aa", "--why", "as I said")
    assert (again.status, "refuted already" in again.err) == (2, True)
    assert vigilia("review", "list", "--grown").err == "no alerts\n"
    publish(state="updated", bucket=10_700, decided=10_700, cases=9)
    quiet = vigilia("alerts")
    assert (quiet.out, quiet.err) == (
        "", "1 refuted or closed and hardly grown since: --all shows them\nno alerts\n"
    )  # fmt: skip
    assert "refuted +4" in vigilia("alerts", "--all").out
    publish(state="updated", bucket=10_701, decided=10_701, cases=10)
    assert "refuted +5" in vigilia("alerts").out, "twice the cases that were judged"
    assert "+5" in vigilia("review", "list", "--grown").out
    assert vigilia("review", "refute", "aa", "--why", "still the same confounder").status == 0
    assert vigilia("review", "validate", "aa", "--why", "not that one").status == 0
    assert "validated" in vigilia("review", "list").out


def test_what_says_nothing_or_of_nobody_is_refused(
    vigilia: Callable[..., Any], publish: Callable[..., Alert], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    for args, words in (
        (["validate", "aa"], "a reason is needed"),
        (["comment", "aa", "--why", "  "], "a reason is needed"),
        (["assign", "aa"], "assigned to nobody already"),
        (["close", "zz", "--why", "x"], "no alert zz"),
        (["comment", "aa", "--why", SECRET * 400], "8,800 characters"),
        (["assign", "aa", SECRET * 50], "a name has 1 to 200 characters"),
    ):
        result = vigilia("review", *args)
        assert (result.status, words in result.err) == (2, True), result.err
        assert SECRET not in result.err
    assert vigilia("review", "show", "aa").out.endswith("unreviewed\n")


def test_reviewers_who_write_at_once_all_stand_in_one_chain(world: Any, vigilia: Callable[..., Any]) -> None:
    alert, failed = an_alert(), []

    def write(who: str) -> None:
        try:
            with Reviews(world.settings) as reviews:
                for n in range(4):
                    reviews.add(alert, "comment", who=who, why=f"{who} {n}")
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    writers = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failed == []
    with Reviews(world.settings) as reviews:
        said = [reviewed.entry.why for reviewed in reviews.of(alert).entries]
        assert sorted(said) == sorted(f"w{w} {n}" for w in range(4) for n in range(4))
        for w in range(4):
            assert [why for why in said if why.startswith(f"w{w}")] == [f"w{w} {n}" for n in range(4)]
        assert reviews.history.faults == []


def test_a_topic_that_compaction_or_retention_could_empty_is_refused(
    world: Any, kafka_log: Any, unique: Callable[[str], str]
) -> None:
    for settings, words in (({"cleanup_policy": "delete"}, "cleanup.policy"), ({}, "partitions")):
        topic = kafka_log.create(unique("reviews"), 2 if words == "partitions" else 1, **settings)
        changed: Settings = world.settings.model_copy(update={"reviews_topic": topic})
        with pytest.raises(Exception, match=words), Reviews(changed) as reviews:
            reviews.add(an_alert(), "comment", who="anna", why="x")


def test_a_reader_that_stays_sees_what_is_said_later(world: Any) -> None:
    alert = an_alert()
    with Reviews(world.settings) as reader, Reviews(world.settings) as writer:
        assert reader.of(alert).status == "unreviewed", "there is no topic yet"
        writer.add(alert, "validate", who="anna", why="x")
        assert reader.refresh().of(alert.id).status == "validated"
        with pytest.raises(ConfigurationError):
            writer.add(alert, "validate", who="berta", why="y")
