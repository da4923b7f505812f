"""`vigilia diff` on real logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.events import Assessment, AssessmentRecord, DeadLetter

pytestmark = pytest.mark.kafka


def test_a_monitor_is_the_same_as_itself_and_as_its_assessments_topic(vigilia: Callable[..., Any], world: Any) -> None:
    world.fill()
    world.detect()
    result = vigilia("diff", world.path, world.path)
    assert result.status == 0
    assert "the same, 0 differ" in result.out
    assert "1 the same, 0 only in A, 0 only in B, 0 changed" in result.out
    assert vigilia("diff", world.path, world.monitor.assessments_topic, "--json").status == 0


def test_assessments_and_alerts_that_differ_are_counted_and_the_most_changed_are_named(
    vigilia: Callable[..., Any], world: Any
) -> None:
    world.fill()
    world.detect()
    changed = 0

    def other(record: AssessmentRecord) -> AssessmentRecord:
        nonlocal changed
        if not isinstance(record, Assessment) or record.drugs != ["Plantedin"]:
            return record
        changed += 1
        if changed == 1:
            return DeadLetter(record.topic, record.partition, record.lo, record.offset, "unreadable")
        return msgspec.structs.replace(record, scores=[1_000])

    twin = world.twin(other)
    result = vigilia("diff", world.path, twin.path, "--json", "--top", "2")
    assert result.status == 1
    found = json.loads(result.out)
    assessments, alerts = found["assessments"], found["alerts"]
    assert assessments["messages"] - assessments["same"] == changed
    assert assessments["outcomes"] == {"assessed -> dead letter: unreadable": 1}
    assert assessments["moves"] == {"above 0.5": changed - 1}
    assert assessments["drugs"] == [{"name": "Plantedin", "gained": 0, "lost": 0, "changed": changed - 1}]
    assert len(assessments["moved"]) == 2
    assert [assessments["moved"][0][side] for side in "ab"] == [1.0, 0.001]
    assert [alert["drug"] for alert in alerts["only_a"]] == ["Plantedin"]
    assert alerts["only_b"] == []
    shown = vigilia("diff", world.path, twin.path).out
    assert "case-" not in shown
    assert "planted-" not in shown
    twin.store.close()


def test_two_files_of_alerts_are_compared_without_kafka_and_what_has_nothing_in_common_is_refused(
    vigilia: Callable[..., Any], world: Any, tmp_path: Path
) -> None:
    world.fill()
    world.detect()
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(b"".join(record + b"\n" for _, records in world.store.history() for record in records))
    empty = tmp_path / "none.jsonl"
    empty.write_bytes(b"")
    assert vigilia("diff", file, world.path).status == 0
    assert vigilia("diff", file, empty).status == 1
    assert vigilia("diff", file, world.monitor.assessments_topic).status == 2
    assert vigilia("diff", file, tmp_path / "missing.jsonl").status == 2
    empty.write_bytes(b'{"id": "Mrs Quellwasser"')
    broken = vigilia("diff", file, empty)
    assert broken.status == 1
    assert "line 1" in broken.err
    assert "Quellwasser" not in broken.err


def test_the_one_that_is_behind_is_waited_for_not_blamed(vigilia: Callable[..., Any], world: Any) -> None:
    world.fill()
    world.detect()
    twin = world.twin(lambda record: record, most=60)
    found = json.loads(vigilia("diff", world.path, twin.path, "--json").out)
    assert not found["assessments"]["outcomes"]
    assert found["assessments"]["waiting_a"] == 0 < found["assessments"]["waiting_b"]
    assert found["alerts"]["only_a"] == []
    twin.store.close()
