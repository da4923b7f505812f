"""Cases and a monitor for tests of the rules beside the signal."""

from __future__ import annotations

from typing import Any

from streams.detect.contribution import Contribution
from streams.events import MICRO, Assessment, CaseFacts
from streams.monitors import Monitor, Source
from streams.monitors.rules import Rules

DAY_MS = 86_400_000
START = 10_000


def monitor(name: str = "m", *, rules: dict[str, Any], burn_in: int = 0, **alarms: Any) -> Monitor:
    return Monitor.model_validate(
        {
            "name": name,
            "sources": (Source(topic="reports"),),
            "alarms": {"burn_in_days": burn_in, **alarms},
            "rules": Rules.model_validate(rules),
        }
    )


def case(number: int, day: int = 0, drug: str = "Aspirin", event: str = "Rash", **facts: Any) -> Contribution:
    drugs, events = tuple(sorted(drug.split("+"))), tuple(sorted(event.split("+")))
    return Contribution(
        position=("reports", 0, number),
        received_at=(START + day) * DAY_MS,
        case_id=f"case-{number}",
        version=1,
        stratum=0,
        drugs=drugs,
        events=events,
        scores=(MICRO,) * len(events),
        facts=CaseFacts(**facts) if facts else None,
    )


def assessment(
    number: int,
    day: int = 0,
    drug: str = "Aspirin",
    event: str = "Rash",
    *,
    case_id: str | None = None,
    version: int = 1,
    **facts: Any,
) -> Assessment:
    c = case(number, day, drug, event, **facts)
    return Assessment(
        topic="reports",
        partition=0,
        lo=number,
        offset=number,
        received_at=c.received_at,
        case_id=case_id or c.case_id,
        version=version,
        stratum=0,
        drugs=list(c.drugs),
        events=list(c.events),
        scores=list(c.scores),
        facts=c.facts,
    )
