"""The rules in a worker, on a real Redis: provisional at once, raised at the close, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from streams.audit.recount import recount
from streams.audit.rules import recounted
from streams.audit.tables import Tables, differ
from streams.events import Alert, Assessment, Lot, decode_alert, encode
from streams.monitors import Monitor
from streams.state.server import RedisServer
from streams.worker.detection import Detection

from .rule_cases import DAY_MS, START, assessment, monitor

RULES: dict[str, Any] = {"designated_event": {"terms": ["Anaphylactic shock"]}, "fatal": {}, "paediatric": {}}
Open = Callable[[Monitor], Detection]


@pytest.fixture
def opened(redis_server: RedisServer) -> Iterator[Open]:
    made: list[Detection] = []

    def open_(watched: Monitor) -> Detection:
        detection = Detection(watched, redis_server.url, vocabulary="v")
        detection.open()
        detection.starts([0])
        made.append(detection)
        return detection

    yield open_
    for detection in made:
        detection.close()


def apply(detection: Detection, records: Sequence[Assessment]) -> None:
    first = records[0].offset
    detection.apply(0, first, records[-1].offset + 1, [encode(record) for record in records])


def settle(detection: Detection) -> list[Alert]:
    """Close all that is due; the alerts in the order of the history."""
    while detection.store.closable() is not None:
        detection.close_due()  # which leaves a bucket for half a second to the worker that closed the last one
    return history(detection)


def history(detection: Detection) -> list[Alert]:
    return [decode_alert(record) for _, records in detection.store.history() for record in records]


def published(detection: Detection) -> list[Alert]:
    return [decode_alert(message.value) for message in detection.lacking()]


STREAM = [
    assessment(0, 0, event="Anaphylactic shock", serious=True, age=40),
    assessment(1, 0, event="Rash", serious=False, age=40),
    assessment(2, 0, drug="Heparin", event="Bleeding", serious=True, fatal=True, age=70),
    assessment(3, 1, drug="Heparin", event="Rash", serious=True, age=8, completeness=70),
    assessment(4, 2, event="Anaphylactic shock", age=3),
    assessment(5, 3, event="Fever", serious=False, age=40),
    assessment(6, 9, event="Fever", serious=False, age=40),
]


def test_a_designated_event_is_provisional_when_it_is_counted_and_raised_by_the_close(
    opened: Open, unique: Callable[[str], str]
) -> None:
    detection = opened(monitor(unique("rules"), rules=RULES))
    apply(detection, STREAM[:1])
    assert detection.look() == 1
    (first,) = published(detection)
    assert (first.kind, first.state, first.level, first.budget) == ("designated_event", "provisional", "rule", None)
    apply(detection, STREAM[1:])
    raised = next(a for a in settle(detection) if a.kind == "designated_event")
    assert (raised.id, raised.state, raised.raised_at) == (first.id, "raised", "1997-05-19")
    assert [(c.case_id, c.serious, c.age) for c in raised.evidence] == [("case-0", True, 40)]


def test_alerts_of_rules_grow_case_by_case_and_say_which_rules_made_them(
    opened: Open, unique: Callable[[str], str]
) -> None:
    watched = monitor(unique("rules"), rules=RULES)
    detection = opened(watched)
    apply(detection, STREAM)
    alerts = settle(detection)
    assert [(a.bucket - START, a.kind, a.drug, a.event, a.state, a.status, a.cases) for a in by_kind(alerts)] == [
        (0, "designated_event", "Aspirin", "Anaphylactic shock", "raised", "new", 1),
        (0, "fatal", "Heparin", "*", "raised", "new", 1),
        (1, "paediatric", "Heparin", "*", "raised", "new", 1),
        (2, "designated_event", "Aspirin", "Anaphylactic shock", "updated", "update", 2),
    ]
    fatal = by_kind(alerts)[1]
    assert (fatal.table.a, fatal.table.b, fatal.table.c, fatal.table.d) == (1, 0, 0, 2)
    assert fatal.table.expected == pytest.approx(1 / 3)
    assert {a.versions.rules for a in alerts} == {watched.rules.label}
    assert len({a.id for a in alerts}) == 3


def by_kind(alerts: Sequence[Alert]) -> list[Alert]:
    return sorted(alerts, key=lambda a: (a.bucket, a.kind))


def test_a_listed_pair_is_published_as_listed(opened: Open, unique: Callable[[str], str]) -> None:
    detection = opened(monitor(unique("rules"), rules=RULES, listed=[("aspirin", "anaphylactic shock")]))
    apply(detection, STREAM)
    assert {a.status for a in settle(detection) if a.kind == "designated_event"} == {"listed"}


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5, 6), (3,), (4, 5)])
def test_workers_that_start_anew_between_batches_write_the_same_history(
    opened: Open, unique: Callable[[str], str], cuts: tuple[int, ...]
) -> None:
    whole, parts = monitor(unique("whole"), rules=RULES), monitor(unique("parts"), rules=RULES)
    parts = parts.replayed_as(parts.name).model_copy(update={"replay_of": whole.name})
    detection = opened(whole)
    apply(detection, STREAM)
    expected = settle(detection)
    for start, end in zip((0, *cuts), (*cuts, len(STREAM)), strict=True):
        detection = opened(parts)
        apply(detection, STREAM[start:end])
        detection.look()
        settle(detection)
    assert [encode(alert) for alert in history(detection)] == [encode(alert) for alert in expected]


EVERYTHING: dict[str, Any] = {
    **RULES,
    **{kind: {} for kind in ("evans", "ror", "ic025", "eb05")},
    "new_pair": {"cases": 2, "within_days": 10},
    "rate_rise": {"days": 3, "spans": 6, "cases": 4},
    "lot_cluster": {"p": 0.05},
    "interaction": {},
    "masking": {"threshold": 1.2, "chi2": 1, "ratio": 1.05},
    "onset": {"cases": 5},
}


def long_stream() -> list[Assessment]:
    """Sixty days of two drugs, a pair that begins on day 40, and a drug that is reported daily from day 50 on."""
    records: list[Assessment] = []
    for day in range(60):
        found = [("Common", "Fever"), ("Other", "Rash" if day % 9 == 0 else "Fever")]
        found += [("Rare", "Rash")] if 40 <= day < 46 else []
        found += [("Other+Rare", "Dizziness" if day > 30 else "Fever")] if day % 5 == 0 else []
        found += [("Rising", "Ache")] * (5 if day >= 50 else day % 3 == 0)
        found += [("Rare", "Anaphylactic shock")] if day in (45, 47, 48) else []
        found += [("Common", "Ache")] if 44 <= day < 50 else []
        found += [("Masker", "Itch")] if day >= 20 else [("Hidden", "Fever")]
        found += [("Hidden", "Itch")] if day in (40, 44, 48) else [("Common", "Itch")] if day == 30 else []
        for drug, event in found:
            n = len(records)
            facts = {"serious": n % 5 != 0, "fatal": n % 31 == 0, "age": n % 40, "onset_days": 0 if n % 4 else 30}
            facts["lots"] = (Lot(drug, "C" if event == "Ache" else "AB"[day % 2], "Makers"),)
            records.append(assessment(n, day, drug=drug, event=event, **facts))
    return records


def test_every_rule_survives_restarts_and_shows_its_cases(opened: Open, unique: Callable[[str], str]) -> None:
    whole, parts = monitor(unique("whole"), rules=EVERYTHING), monitor(unique("parts"), rules=EVERYTHING)
    parts = parts.replayed_as(parts.name).model_copy(update={"replay_of": whole.name})
    stream = long_stream()
    detection = opened(whole)
    apply(detection, stream)
    expected = settle(detection)
    assert {a.kind for a in expected} - {"signal"} == EVERYTHING.keys() - {"eb05"}, "no prior before the first quarter"
    for start, end in pairwise((0, 30, 97, 110, len(stream))):
        detection = opened(parts)
        apply(detection, stream[start:end])
        settle(detection)
    assert [encode(alert) for alert in history(detection)] == [encode(alert) for alert in expected]
    for alert in expected:
        assert len(alert.evidence) + alert.evidence_omitted == alert.cases
        if alert.kind in ("evans", "ror", "ic025", "new_pair"):
            cases = [
                record.case_id
                for record in stream
                if record.received_at <= alert.decided * DAY_MS
                and (alert.drug in record.drugs, alert.event) == (True, record.events[0])
            ]
            assert [case.case_id for case in alert.evidence] == cases[::-1]
            assert alert.cases == alert.table.a == len(cases)
    tables = Tables(recount(((0, r.offset, r) for r in stream), whole), whole)
    assert [words for alert in expected for words in differ(alert, recounted(alert, tables, whole))] == []
    rise = next(a for a in expected if a.kind == "rate_rise")
    assert (rise.drug, rise.event, rise.cases) == ("Rising", "*", rise.table.a)
    assert rise.evidence_omitted == rise.cases - len(rise.evidence) > 0


def test_what_leaves_the_window_is_no_evidence_any_more(opened: Open, unique: Callable[[str], str]) -> None:
    watched = monitor(unique("rules"), rules=RULES, window_days=3)
    stream = [
        assessment(0, 0, fatal=True, serious=True),
        assessment(1, 2, fatal=True, serious=True),
        assessment(2, 4, fatal=True, serious=True),
        assessment(3, 9),
    ]
    expected = [1, 2, 2]
    whole = opened(watched)
    apply(whole, stream)
    assert [a.cases for a in settle(whole)] == expected
    restarted = monitor(unique("again"), rules=RULES, window_days=3)
    for record in stream:
        detection = opened(restarted)
        apply(detection, [record])
        found = settle(detection)
    assert [(a.cases, a.table.a, a.table.a + a.table.b) for a in found] == [(n, n, n) for n in expected]
