"""`vigilia terms` on a real log: what no vocabulary knows is counted, what is only like a name is marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.assess.assessor import Assessor, Origin
from streams.events import AssessmentRecord
from streams.monitors import load_monitor
from streams.terms.translate import load_terms

pytestmark = pytest.mark.kafka

REPORTS = [
    ("Naprosyn", "hot"), ("NAPROXEN", "Fever"), ("naproxin", "sneezes"), ("unheard-of", "Fever"), ("unheard-of", "rash")
]  # fmt: skip


@pytest.fixture
def mapped(world: Any, tmp_path: Path, vigilia: Callable[..., Any]) -> Path:
    """The monitor with two vocabularies of its own, and reports that were assessed by them."""
    (tmp_path / "drugs.csv").write_text("Naprosyn,naproxen\n")
    (tmp_path / "events.csv").write_text("hot,Fever\n")
    world.path.write_text(world.path.read_text("utf-8") + "\n[terms]\nfuzzy = 85\n", "utf-8")
    for kind in ("drugs", "events"):
        shown = vigilia("terms", "inspect", kind, "csv", tmp_path / f"{kind}.csv").out
        table = shown[shown.index("[[") :].replace(str(tmp_path) + "/", "")
        world.path.write_text(world.path.read_text("utf-8") + table, "utf-8")
    monitor = load_monitor(world.path)
    assessor = Assessor(monitor, b"key", load_terms(monitor))
    records: list[AssessmentRecord] = []
    for offset, (drug, event) in enumerate(REPORTS):
        message = {
            "type": "adverse_event", "case_id": str(offset), "received_at": 946_684_800_000 + offset,
            "products": [{"name": drug}], "events": [event],
        }  # fmt: skip
        origin = Origin(world.reports, 0, offset, offset, 946_684_900_000)
        record = assessor.assess(origin, json.dumps(message).encode(), [])
        records.append(record)  # type: ignore[arg-type]
    world.assess([*records, records[-1]])
    return Path(world.path)


def test_names_in_no_vocabulary_are_counted_and_likenesses_shown(vigilia: Callable[..., Any], mapped: Path) -> None:
    counts = [json.loads(line) for line in vigilia("terms", "-m", mapped, "--json").out.splitlines()]
    assert [(c["kind"], c["term"], c["messages"], c["mapped"]) for c in counts] == [
        ("drugs", "naproxen", 3, True), ("drugs", "unheard-of", 2, False),
        ("events", "Fever", 3, True), ("events", "rash", 1, False), ("events", "sneezes", 1, False),
    ]  # fmt: skip
    assert counts[0]["fuzzy"] == [["naproxin", 87, 1]]
    shown = vigilia("terms", "-m", mapped)
    assert shown.status == 0
    assert "drugs: 2 terms, 1 of them in no vocabulary (40.0% of all mentions)" in shown.out
    assert "events: 3 terms, 2 of them in no vocabulary (40.0% of all mentions)" in shown.out
    assert any(line.split() == ["naproxin", "naproxen", "87%", "1"] for line in shown.out.splitlines())


def test_a_name_is_looked_up_as_drug_and_event(vigilia: Callable[..., Any], mapped: Path) -> None:
    shown = vigilia("terms", "lookup", "Naprosyn 250 mg", "-m", mapped)
    assert (shown.status, shown.out) == (0, "drugs: naproxen by csv\nevents: unmapped\n")
    assert "like 'naproxen' (87%)" in vigilia("terms", "lookup", "naproxin", "-m", mapped).out
    assert vigilia("terms", "lookup", "nothing of the kind", "-m", mapped).status == 1


def test_a_vocabulary_that_has_changed_is_refused(vigilia: Callable[..., Any], mapped: Path) -> None:
    mapped.with_name("events.csv").write_text("hot,Pyrexia\n")
    result = vigilia("terms", "-m", mapped)
    assert (result.status, "the monitor says" in result.err) == (2, True)
