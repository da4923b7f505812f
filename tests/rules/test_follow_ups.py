"""Later versions of cases and the single-case rules: a death that is reported after the case was counted."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from streams.audit.compare import compare
from streams.audit.recount import recount
from streams.audit.snapshot import take_snapshot
from streams.events import Alert, Assessment, encode
from streams.monitors import Monitor
from streams.worker.detection import Detection

from .rule_cases import START, assessment, monitor
from .test_rules_at_the_close import Open, apply, history, opened, published, settle

__all__ = ["opened"]  # the fixture

RULES: dict[str, Any] = {"designated_event": {"terms": ["Anaphylactic shock"]}, "fatal": {}, "paediatric": {}}

CASE = assessment(0, 0, drug="Heparin", event="Bleeding", case_id="A", serious=True, age=70)
DEATH = assessment(1, 2, drug="Heparin", event="Bleeding", case_id="A", version=2, serious=True, age=70, fatal=True)
LATER = [assessment(2, 2, event="Fever", age=40), assessment(3, 9, event="Fever", age=40)]


def alerts_of(detection: Detection, stream: Sequence[Assessment]) -> list[Alert]:
    apply(detection, stream)
    return settle(detection)


def told(alerts: Sequence[Alert]) -> list[tuple[int, str, str, int, float, list[tuple[str, int]]]]:
    return [
        (a.bucket - START, a.kind, a.state, a.cases, a.table.a, [(c.case_id, c.version) for c in a.evidence])
        for a in sorted(alerts, key=lambda a: (a.bucket, a.kind))
    ]


def clean(detection: Detection, watched: Monitor, stream: Sequence[Assessment]) -> bool:
    report = compare(recount(((0, r.offset, r) for r in stream), watched), take_snapshot(detection.store), watched)
    assert report.differences == []
    return report.clean


def test_a_death_that_a_later_version_reports_raises_an_alert_and_counts_nothing(
    opened: Open, unique: Callable[[str], str]
) -> None:
    watched = monitor(unique("rules"), rules=RULES)
    detection, stream = opened(watched), [CASE, DEATH, *LATER]
    (alert,) = alerts_of(detection, stream)
    assert told([alert]) == [(2, "fatal", "raised", 1, 0.0, [("A", 2)])]
    assert (alert.table.a, alert.table.b, alert.table.c, alert.table.d) == (0, 1, 0, 1)
    assert (alert.statistic, alert.evidence[0].fatal, alert.evidence[0].offset) == (1.0, True, 1)
    assert clean(detection, watched, stream)


def test_it_is_provisional_while_its_bucket_is_open(opened: Open, unique: Callable[[str], str]) -> None:
    detection = opened(monitor(unique("rules"), rules=RULES))
    apply(detection, [CASE])
    assert detection.provisional.look() == []
    apply(detection, [DEATH, LATER[0]])
    assert len(detection.provisional.look()) == 1
    (first,) = published(detection)
    assert (first.kind, first.state, first.cases) == ("fatal", "provisional", 1)
    apply(detection, LATER[1:])
    assert [(a.id, a.state) for a in settle(detection)] == [(first.id, "raised")]


def test_what_a_version_says_again_is_no_news(opened: Open, unique: Callable[[str], str]) -> None:
    watched = monitor(unique("rules"), rules=RULES)
    dead = assessment(0, 0, drug="Heparin", case_id="A", serious=True, fatal=True)
    again = [assessment(n, n, drug="Heparin", case_id="A", version=1 + n, serious=True, fatal=True) for n in (1, 2)]
    fillers = [assessment(n, day, event="Fever") for n, day in ((3, 1), (4, 2), (5, 9))]
    detection = opened(watched)
    alerts = alerts_of(detection, [dead, *again, *fillers])
    assert [(a.bucket - START, a.state, a.cases, a.evidence[0].version) for a in alerts] == [
        (0, "raised", 1, 1),
        (1, "updated", 1, 2),  # a later version of an alert's evidence, as ever; no rule decided
        (2, "updated", 1, 3),
    ]
    assert {a.decided - START for a in alerts} == {0}


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("paediatric", {"event": "Rash", "serious": False, "age": 8}, {"event": "Rash", "serious": True, "age": 8}),
        ("designated_event", {"event": "Rash"}, {"event": "Anaphylactic shock", "serious": True}),
        ("fatal", {"drug": "Aspirin"}, {"drug": "Aspirin+Heparin", "fatal": True}),
    ],
)
def test_a_version_that_makes_a_case_serious_or_names_another_event_or_drug_raises_too(
    opened: Open, unique: Callable[[str], str], kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    watched = monitor(unique("rules"), rules=RULES)
    detection = opened(watched)
    stream = [
        assessment(0, 0, case_id="A", **{"age": 30} | before),
        assessment(1, 2, case_id="A", version=2, **{"age": 30} | after),
        *LATER,
    ]
    found = alerts_of(detection, stream)
    assert {(a.kind, a.drug, a.cases, a.table.a) for a in found} == {
        (kind, drug, 1, 0.0) for drug in after.get("drug", "Aspirin").split("+")
    }
    assert clean(detection, watched, stream)


def test_a_version_that_comes_after_a_higher_one_raises_nothing(opened: Open, unique: Callable[[str], str]) -> None:
    watched = monitor(unique("rules"), rules=RULES)
    stream = [
        assessment(0, 0, case_id="A"),
        assessment(1, 1, case_id="A", version=3),
        assessment(2, 1, event="Fever"),
        assessment(3, 2, case_id="A", version=2, fatal=True),
        assessment(4, 2, event="Fever"),
        assessment(5, 9, event="Fever"),
    ]
    detection = opened(watched)
    assert alerts_of(detection, stream) == []
    assert clean(detection, watched, stream)


def test_a_death_in_a_bucket_without_a_counted_case_is_raised_by_the_next_close(
    opened: Open, unique: Callable[[str], str]
) -> None:
    watched = monitor(unique("rules"), rules=RULES)
    stream = [CASE, DEATH, assessment(2, 4, event="Fever"), assessment(3, 12, event="Fever")]
    detection = opened(watched)
    assert told(alerts_of(detection, stream)) == [(4, "fatal", "raised", 1, 0.0, [("A", 2)])]
    assert clean(detection, watched, stream)


def any_stream(chance: random.Random) -> list[Assessment]:
    """Cases and versions in any order, of three drugs, over some forty days; each version has facts of its own."""
    records, day = list[Assessment](), 0
    for number in range(90):
        day += chance.random() < 0.4
        facts = {"serious": chance.random() < 0.5, "fatal": chance.random() < 0.15, "age": chance.choice([8, 40])}
        drug = "+".join(sorted(chance.sample(["A", "B", "C"], chance.randint(1, 2))))
        event, version = chance.choice(["Rash", "Fever", "Anaphylactic shock"]), chance.choice([1, 1, 2, 2, 3])
        case_id = f"case {chance.randrange(30)}"
        records.append(assessment(number, day, drug, event, case_id=case_id, version=version, **facts))
    return [*records, assessment(90, day + 10, "A", "Fever")]


@pytest.mark.parametrize("seed", range(6))
def test_workers_that_start_anew_write_the_same_history_and_the_log_says_the_same(
    opened: Open, unique: Callable[[str], str], seed: int
) -> None:
    chance = random.Random(seed)
    # A window shorter than the stream: what follow-ups say must leave it with them.
    whole, parts = (monitor(unique(name), rules=RULES, window_days=12) for name in ("whole", "parts"))
    parts = parts.replayed_as(parts.name).model_copy(update={"replay_of": whole.name})
    stream = any_stream(chance)
    detection = opened(whole)
    expected = alerts_of(detection, stream)
    later = [c for a in expected for c in a.evidence if a.kind != "signal" and a.cases > a.table.a and c.version > 1]
    assert later, "no follow-up is a reason for an alert: the stream tests nothing"
    assert clean(detection, whole, stream)
    cuts = sorted(chance.sample(range(1, len(stream)), 5))
    for start, end in pairwise((0, *cuts, len(stream))):
        detection = opened(parts)
        apply(detection, stream[start:end])
        detection.look()
        settle(detection)
    assert [encode(alert) for alert in history(detection)] == [encode(alert) for alert in expected]
    kept = {int(k.rsplit(b":", 1)[1]) for k in detection.store.client.keys(f"{detection.store.keys.followed}*")}
    closed = detection.store.base().closed
    assert closed is not None
    assert all(bucket > closed - 12 for bucket in kept), "forgotten with the window"
