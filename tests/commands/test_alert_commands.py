"""`vigilia alerts` and `vigilia explain` on a monitor that raised an alert."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streams.commands.explain import INTERVALS, MEASURES
from streams.events import Alert, decode_alert, encode
from streams.signals.ranking import ranked

pytestmark = pytest.mark.kafka
PLANTED = ("Plantedin", "Planted reaction")


@pytest.fixture
def raised(world: Any) -> Alert:
    """The alert of the planted pair, as it stands on the topic."""
    world.fill()
    world.detect()
    (record,) = world.store.alert_records(list(world.store.alerts_since("").changed)).values()
    return decode_alert(record)


def test_alerts_are_a_table_for_people_and_lines_of_json_for_programs(
    vigilia: Callable[..., Any], world: Any, raised: Alert
) -> None:
    table = vigilia("alerts")
    assert (table.status, table.err) == (0, "")
    header, row = table.out.splitlines()
    assert header.split() == [
        "raised", "state", "kind", "level", "status", "review", "drug", "event", "cases", "expected", "statistic", "id"
    ]  # fmt: skip
    assert re.split(r"\s{2,}", row.strip()) == [
        raised.raised_at, raised.state, "signal", raised.level, raised.status, "unreviewed", *PLANTED,
        str(raised.cases), f"{raised.table.expected:.3g}", f"{raised.statistic:.4g}", raised.id,
    ]  # fmt: skip
    filters = ("--drug", "plantedin", "--level", raised.level, "--monitor", world.monitor.name)
    as_json = vigilia("alerts", "--json", *filters)
    assert decode_alert(as_json.out.encode()) == raised
    assert vigilia("alerts", "--kind", "fatal").err == "no alerts\n"
    nothing = vigilia("alerts", "--json", "--state", "withdrawn")
    assert (nothing.status, nothing.out) == (0, "")
    assert vigilia("alerts", "--event", "Fever").err == "no alerts\n"


def test_ranked_alerts_come_in_order_of_score_with_its_terms(
    vigilia: Callable[..., Any], world: Any, raised: Alert
) -> None:
    listed = msgspec.structs.replace(raised, id="0" * 20, status="listed", drug="Known")
    world.send(world.settings.alerts_topic, 0, [encode(listed)])
    header, first, second = vigilia("alerts", "--rank").out.splitlines()
    assert header.split()[:7] == ["rank", "strength", "novelty", "serious", "recent", "complete", "text"]
    scores = [float(line.split()[0]) for line in (first, second)]
    assert scores[0] > scores[1]
    assert ("Plantedin" in first, "Known" in second) == (True, True)
    best, _ = map(json.loads, vigilia("alerts", "--rank", "--json").out.splitlines())
    assert best["rank"] == {"score": ranked(raised).score, "terms": ranked(raised).terms}
    assert vigilia("alerts", "--rank", "--follow").status == 2


def test_names_cannot_write_to_the_terminal(vigilia: Callable[..., Any], world: Any, raised: Alert) -> None:
    nasty = msgspec.structs.replace(raised, id="f" * 20, drug="drug\x1b[2J[bold]\nred", event="e\rvent")
    world.send(world.settings.alerts_topic, 0, [encode(nasty)])
    for command in (["alerts"], ["explain", "ffff"]):
        out = vigilia(*command).out
        assert "\x1b" not in out
        assert "\r" not in out
        assert "drug\\x1b[2J[bold]\\nred" in out


def test_an_unreadable_record_stops_the_list_or_is_skipped(vigilia: Callable[..., Any], world: Any) -> None:
    world.send(world.settings.alerts_topic, 0, [b"{}"])
    result = vigilia("alerts")
    assert result.status == 1
    assert f"{world.settings.alerts_topic}/0/0 holds no alert" in result.err
    assert vigilia("alerts", "--skip-unreadable").status == 0


def test_an_explanation_shows_everything_the_alert_rests_on(vigilia: Callable[..., Any], raised: Alert) -> None:
    result = vigilia("explain", raised.id)
    assert (result.status, result.err) == (0, "")
    first = raised.evidence[0]
    for shown in (
        "Plantedin x Planted reaction",
        f"{raised.statistic:.6g}, alarm at {raised.threshold:.6g}",
        f"{raised.cases} in the reference window",
        "ROR, 95% interval after Woolf",
        "EBGM, 90% interval",
        "IC, 95% interval by gamma quantiles",
        f"{first.topic}/{first.partition}/{first.offset}",
        first.case_id,
        raised.versions.monitor,
        raised.versions.rule,
    ):
        assert shown in result.out, shown
    assert f"{raised.table.a:.6g}" in result.out
    assert set(raised.measures) == set(MEASURES) | {bound for bounds in INTERVALS.values() for bound in bounds}
    assert [words for words in MEASURES.values() if words not in result.out] == []


def test_as_many_cases_are_shown_as_wanted(vigilia: Callable[..., Any], raised: Alert) -> None:
    def shown(*args: str) -> int:
        out = vigilia("explain", raised.id, *args).out
        return sum(f"{case.topic}/{case.partition}/{case.offset}" in out for case in raised.evidence)

    assert len(raised.evidence) > 2
    assert shown() == len(raised.evidence)
    assert shown("--cases", "2") == 2
    assert f"and {len(raised.evidence) - 2} older cases" in vigilia("explain", raised.id, "--cases", "2").out


def test_an_explanation_is_found_by_the_beginning_of_its_id_and_else_tells_how_to_find_ids(
    vigilia: Callable[..., Any], world: Any, raised: Alert
) -> None:
    assert json.loads(vigilia("explain", raised.id[:6], "--json").out)["alert"]["id"] == raised.id
    missing = vigilia("explain", "nothing-like-it")
    assert missing.status == 2
    assert "`vigilia alerts` lists the ids" in missing.err
    world.send(world.settings.alerts_topic, 0, [encode(msgspec.structs.replace(raised, id=f"{raised.id[:6]}zz"))])
    ambiguous = vigilia("explain", raised.id[:6])
    assert ambiguous.status == 2
    assert "2 alerts begin with" in ambiguous.err
    assert vigilia("explain", raised.id).status == 0


def test_verification_recounts_the_alert_from_the_log(vigilia: Callable[..., Any], world: Any, raised: Alert) -> None:
    result = vigilia("explain", raised.id, "--verify", "-m", world.path, "--json")
    verdict = json.loads(result.out)["verification"]
    assert result.status == 0
    assert verdict["agrees"]
    assert verdict["recounted"]["a"] == raised.table.a == raised.cases
    assert "verified: the assessments log" in vigilia("explain", raised.id, "--verify", "-m", world.path).out


def test_verification_names_what_the_log_does_not_bear_out(
    vigilia: Callable[..., Any], world: Any, raised: Alert
) -> None:
    table = msgspec.structs.replace(raised.table, a=raised.table.a + 1)
    evidence = [msgspec.structs.replace(raised.evidence[0], offset=0), *raised.evidence[1:]]
    forged = msgspec.structs.replace(raised, table=table, evidence=evidence, bucket=raised.bucket + 1)
    world.send(world.settings.alerts_topic, 0, [encode(forged)])
    result = vigilia("explain", raised.id, "--verify", "-m", world.path, "--json")
    assert result.status == 1
    differences = json.loads(result.out)["verification"]["differences"]
    assert [d.split(":")[0] for d in differences] == [
        "table.a",
        f"evidence {evidence[0].topic}/{evidence[0].partition}/0",
    ]
    assert "NOT verified" in vigilia("explain", raised.id, "--verify", "-m", world.path).out
