"""Reports in which nothing is true: drug and event are independent given day and age, and events come in waves."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

from streams.events import AdverseEvent, Patient, Product
from streams.monitors import Monitor
from streams.monitors.monitor import AlarmSettings, Source

DAY_MS = 86_400_000
START = 10_000  # 1997-05-19
DRUGS = [f"drug{i}" for i in range(40)]
EVENTS = [f"event{i}" for i in range(50)]  # 2,000 pairs
MONITOR = Monitor(
    name="simulated",
    sources=(Source(topic="simulated"),),
    alarms=AlarmSettings(pairs=2000, false_alarms_per_year=5, buckets_per_year=365.25, burn_in_days=100),
)


def reports(days: int, *, seed: int, a_day: int = 15, repeated: float = 0.0) -> Iterator[AdverseEvent]:
    """`a_day` reports on each of `days` days in order; a share `repeated` of them comes again the same day.

    Children and adults get other drugs and other events, so that without strata there would be signals; each month
    another event is in the news and named in three of ten reports.
    """
    draw = random.Random(seed)
    for day in range(START, START + days):
        today = [_report(draw, day, number) for number in range(a_day)]
        yield from today
        for report in today:
            if draw.random() < repeated:
                yield msgspec.structs.replace(report, case_id=f"again-{report.case_id}")


def _report(draw: random.Random, day: int, number: int) -> AdverseEvent:
    child = draw.random() < 0.5
    start = 0 if child else 15
    events = {EVENTS[min(49, int(draw.expovariate(0.1)) + start)] for _ in range(draw.randint(1, 4))}
    if draw.random() < 0.3:
        events.add(EVENTS[(start + day // 30) % 50])
    return AdverseEvent(
        case_id=f"{day}-{number}",
        products=[Product(DRUGS[min(39, int(draw.expovariate(0.15)) + start)])],
        events=sorted(events),
        received_at=day * DAY_MS,
        patient=Patient(age_years=float(draw.randint(1, 5) if child else draw.randint(20, 80)), sex="F", region="X"),
        narrative=f"report {number} of day {day}, with words enough to be told from every other one",
    )
