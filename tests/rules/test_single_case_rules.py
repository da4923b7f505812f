"""Which cases are a reason for an alert by themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.detect.contribution import Contribution
from streams.events import MICRO
from streams.monitors.rules import Rules
from streams.rules.single import SingleCase

from .rule_cases import case

ALL: dict[str, Any] = {"designated_event": {"terms": ["Anaphylactic shock"]}, "fatal": {}, "paediatric": {}}


def keys(found: Contribution, rules: dict[str, Any] = ALL) -> list[tuple[str, str, str]]:
    return sorted(SingleCase(Rules.model_validate(rules)).keys(found))


@pytest.mark.parametrize(("serious", "alerts"), [(True, True), (None, True), (False, False)])
def test_a_designated_event_alerts_unless_the_case_says_that_it_is_not_serious(serious: Any, alerts: bool) -> None:
    found = keys(case(1, event="Rash+anaphylactic SHOCK", serious=serious, age=40))
    assert found == ([("designated_event", "Aspirin", "anaphylactic SHOCK")] if alerts else [])


def test_an_unstated_seriousness_counts_only_where_the_rule_says_so() -> None:
    strict = {"designated_event": {"terms": ["Anaphylactic shock"], "unknown_is_serious": False}}
    assert keys(case(1, event="Anaphylactic shock"), strict) == []
    assert keys(case(1, event="Anaphylactic shock", serious=True), strict) != []


def test_a_designated_event_read_in_text_needs_its_probability() -> None:
    coded = case(1, event="Anaphylactic shock")
    for micro, alerts in ((499_999, False), (500_000, True)):
        assert bool(keys(msgspec.structs.replace(coded, pairs=((0, 0, micro, "a", "b"),)))) is alerts
    assert MICRO == 1_000_000


def test_a_death_is_an_alert_of_each_drug_whatever_the_events() -> None:
    found = keys(case(1, drug="Aspirin+Heparin", event="Rash+Fever", serious=True, fatal=True, age=40))
    assert found == [("fatal", "Aspirin", "*"), ("fatal", "Heparin", "*")]


@pytest.mark.parametrize(
    ("facts", "alerts"),
    [
        ({"age": 17, "serious": True}, True),
        ({"age": 18, "serious": True}, False),
        ({"age": 17, "serious": None}, False),
        ({"age": None, "serious": True}, False),
    ],
)
def test_a_serious_case_below_the_age_is_paediatric(facts: dict[str, Any], alerts: bool) -> None:
    assert keys(case(1, **facts)) == ([("paediatric", "Aspirin", "*")] if alerts else [])


def test_a_rule_watches_its_drugs_alone_and_one_that_is_off_watches_none() -> None:
    dead = case(1, drug="Aspirin+Heparin", fatal=True, serious=True)
    assert keys(dead, {"fatal": {"drugs": ["heparin"]}}) == [("fatal", "Heparin", "*")]
    assert keys(dead, {"fatal": {"on": False}}) == []
    assert keys(case(1), ALL) == [], "records of older schemas have no facts"
