"""What a replay of notes writes depends on the notes alone, though a model reads them and the vocabulary outgrows K.

Batches of sentences are cut by the clock and by what else is being read, so this holds only if a sentence's scores are
the same to the last bit in any batch.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.events import ClinicalNote, Patient, decode_alert, encode
from streams.intake.loader import Outgoing
from streams.state.server import RedisServer
from streams.transport.groups import groups_named
from tests.lab import DAY_MS, FIRST_DAY, Lab, make_lab

pytestmark = pytest.mark.kafka

NOTES = 240
DAYS = 48
PLANTED = ("azathioprine", "pancreatitis")
DRUGS = ["amoxicillin", "metformin", "lisinopril", "warfarin", "sertraline", "prednisone", "ibuprofen"]
EFFECTS = ["rash", "nausea", "dizziness", "headache", "diarrhea", "insomnia", "fatigue", "pruritus"]
SAID = [
    "The patient developed {effect} after starting {drug}.",
    "{drug}-induced {effect} was diagnosed and the drug was stopped.",
    "He experienced severe {effect} two days after {drug} was given.",
]
BESIDES = [
    "Denies {effect}.",
    "Continue {drug} 20 mg daily.",
    "No history of {effect} with {drug}.",
    "Follow up in two weeks, or earlier if anything changes for the worse.",
    "Blood pressure 128/76, pulse 72, lungs clear to auscultation bilaterally, abdomen soft and not tender.",
]
MONITOR = """
name = "{name}"
evidence = "text"

[[sources]]
topic = "{name}-notes"
partitions = {partitions}

[alarms]
pairs = 20
buckets_per_year = 365
false_alarms_per_year = 60
burn_in_days = 10
"""


def notes(topic: str) -> Iterator[Outgoing]:
    """In order of days. From half-way on every eighth note says the planted pair."""
    chance = random.Random(7)
    for n in range(NOTES):
        drug, effect = chance.choice(DRUGS), chance.choice(EFFECTS)
        if n > NOTES // 2 and n % 8 == 0:
            drug, effect = PLANTED
        said = [chance.choice(SAID)] if chance.random() < 0.5 or drug == PLANTED[0] else []
        sentences = [*said, *chance.sample(BESIDES, chance.randint(1, 3))]
        chance.shuffle(sentences)
        note = ClinicalNote(
            case_id=f"note-{n}",
            text=" ".join(s.format(drug=drug, effect=effect).capitalize() for s in sentences),
            received_at=(FIRST_DAY + n * DAYS // NOTES) * DAY_MS + chance.randrange(DAY_MS),
            patient=Patient(age_years=float(chance.randint(20, 80))),
        )
        yield Outgoing(topic, note.case_id.encode(), encode(note))


@pytest.fixture
def lab(tmp_path: Path, kafka: str, unique: Callable[[str], str], redis_server: RedisServer) -> Lab:
    lab = make_lab(tmp_path, unique("notes"), kafka, redis_server.url, text=MONITOR)
    assert lab.load(notes(lab.topic)) == NOTES
    return lab


@pytest.mark.timeout(600)
def test_replays_of_notes_write_the_same_bytes_whatever_workers_and_batches(lab: Lab, tmp_path: Path) -> None:
    written, groups = [], groups_named(lab.settings, "replay-")
    for workers, batch in ((1, 1000), (2, 7), (3, 41)):
        out = tmp_path / f"{workers}.jsonl"
        options = ["--workers", str(workers), "--batch", str(batch), "--out", str(out), "--json"]
        result = lab.cli("replay", "topic", "--monitor", str(lab.file), *options, timeout=280)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["applied"] == NOTES
        assert "vocabulary_outgrown" in result.stderr
        written.append(out.read_bytes())
    alerts = [decode_alert(line) for line in written[0].splitlines()]
    planted = [alert for alert in alerts if (alert.drug, alert.event) == PLANTED]
    assert planted
    assert planted[0].evidence[0].span is not None
    usual = 2 * 365 / 60
    assert planted[0].threshold >= 4 * usual * 0.999999, "the vocabulary has outgrown K = 20 before"
    assert written[1] == written[0]
    assert written[2] == written[0]
    assert groups_named(lab.settings, "replay-") == groups
