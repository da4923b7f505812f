"""What comes late or as a follow-up to a raised alert makes an `updated` revision, on a real Kafka and Redis."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streams.events import END_OF_TIME, Alert, Assessment, AssessmentRecord, Tick, decode_alert

pytestmark = pytest.mark.kafka
DAY = 86_400_000
START = 10_000


def filled(world: Any, after: Callable[[dict[Any, int]], list[AssessmentRecord]]) -> None:
    """Days with a planted signal up to its alarm, then what `after` makes, given the next offsets; then the end."""
    rng, offsets = random.Random(3), dict.fromkeys(world.monitor.roster, 0)
    records: list[AssessmentRecord] = []
    for day in range(52):
        records += [world._message(rng, offsets, day) for _ in range(8)]
        if day >= 40 and day % 3 == 0:
            records.append(world._planted(offsets, day))
    records += after(offsets)
    records += [Tick(*source, at=offset, received_at=END_OF_TIME) for source, offset in offsets.items()]
    for (topic, partition), offset in offsets.items():
        world.send(topic, partition, [b"a message"] * offset)
    world.assess(records)
    world.detect()


def planted(world: Any, offsets: dict[Any, int], day: int, **changes: Any) -> Assessment:
    return msgspec.structs.replace(world._planted(offsets, day), **changes)


def revisions(world: Any) -> list[Alert]:
    return [decode_alert(record) for _, records in world.store.history() for record in records]


def test_a_late_case_of_a_raised_pair_is_an_updated_alert_that_the_audit_confirms(
    vigilia: Callable[..., Any], world: Any
) -> None:
    late = {"case_id": "late", "received_at": (START + 47) * DAY}
    filled(world, lambda offsets: [planted(world, offsets, 54, case_id="in time"), planted(world, offsets, 56, **late)])
    found = [alert for alert in revisions(world) if alert.drug == "Plantedin"]
    before, after = found[-2:]
    assert (before.state, after.state) == ("raised", "updated")
    assert after.bucket == after.decided > before.bucket
    assert [case.case_id for case in after.evidence if case.late] == ["late"]
    assert after.cases == after.table.a == len(after.evidence)
    assert {case.case_id for case in after.evidence} >= {case.case_id for case in before.evidence}
    assert (after.statistic, after.threshold) == (before.statistic, before.threshold), "no rule fired"
    assert after.windows["reference"] == after.cases
    audit = vigilia("audit", "-m", world.path)
    assert (audit.status, "0 lost, 0 counted twice, 0 differences" in audit.out) == (0, True), audit.out
    assert vigilia("explain", after.id, "--verify", "-m", world.path).status == 0
    assert vigilia("history", "verify", "-m", world.path).status == 0


def test_a_case_in_time_alone_waits_for_the_rule(world: Any) -> None:
    filled(world, lambda offsets: [planted(world, offsets, 54, case_id="in time")])
    assert [alert.state for alert in revisions(world) if alert.drug == "Plantedin"] == ["raised"]


def test_a_later_version_of_a_case_is_an_updated_alert_with_the_same_counts(
    vigilia: Callable[..., Any], world: Any
) -> None:
    def after(offsets: dict[Any, int]) -> list[AssessmentRecord]:
        followup = planted(world, offsets, 54, case_id="planted-42", version=3)
        return [followup, planted(world, offsets, 54, case_id="another", drugs=["Ain"])]

    filled(world, after)
    found = [alert for alert in revisions(world) if alert.drug == "Plantedin"]
    before, revised = found[-2:]
    assert (before.state, revised.state) == ("raised", "updated")
    assert {case.case_id: case.version for case in revised.evidence}["planted-42"] == 3
    assert (revised.cases, revised.table, revised.decided) == (before.cases, before.table, before.decided)
    assert vigilia("audit", "-m", world.path).status == 0
