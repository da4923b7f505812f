"""`vigilia uncertain` on a real log: where sentences are, each once, in order of time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from streams.events import Assessment, Uncertain

pytestmark = pytest.mark.kafka
DAY = 86_400_000


@pytest.fixture
def doubts(world: Any) -> Any:
    """Two notes with uncertain sentences, the later one first and written twice, and one without."""
    world.path.write_text(world.path.read_text("utf-8").replace('"coded"', '"both"'), "utf-8")

    def note(offset: int, day: int, *uncertain: Uncertain) -> Assessment:
        return Assessment(
            world.notes, 0, offset, offset, day * DAY, f"case-{offset}", 2, 0, [], [], [], uncertain=list(uncertain)
        )

    later = note(0, 3, Uncertain(0, 40, 300_000), Uncertain(60, 90, 500_000, counted=True))
    world.assess([later, later, note(1, 1, Uncertain(7, 30, 120_000, counted=True)), note(2, 2)])
    return world


def test_each_open_sentence_is_listed_once_by_time_with_its_place(vigilia: Callable[..., Any], doubts: Any) -> None:
    result = vigilia("uncertain", "-m", doubts.path, "--json")
    assert result.status == 0
    first, *rest = [json.loads(line) for line in result.out.splitlines()]
    assert first == {
        "at": f"{doubts.notes}/0/1", "case_id": "case-1", "version": 2, "received_at": DAY,
        "start": 7, "end": 30, "probability": 0.12, "counted": True,
    }  # fmt: skip
    assert [(x["at"], x["start"], x["end"], x["counted"]) for x in rest] == [
        (f"{doubts.notes}/0/0", 0, 40, False),
        (f"{doubts.notes}/0/0", 60, 90, True),
    ]


def test_only_counted_ones_and_the_newest_can_be_asked_for(vigilia: Callable[..., Any], doubts: Any) -> None:
    counted = vigilia("uncertain", "-m", doubts.path, "--counted", "--json").out.splitlines()
    assert [json.loads(line)["start"] for line in counted] == [7, 60]
    newest = vigilia("uncertain", "-m", doubts.path, "--limit", "1", "--counted")
    assert "case-0" in newest.out
    assert "case-1" not in newest.out
    assert newest.err.strip() == "2 uncertain sentences at error rate 0.05, 1 shown"


def test_a_monitor_that_reads_no_text_is_told_so(vigilia: Callable[..., Any], world: Any) -> None:
    result = vigilia("uncertain", "-m", world.path)
    assert result.status == 2
    assert "reads no text" in result.err
    assert vigilia("uncertain").status == 2
