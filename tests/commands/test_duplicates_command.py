"""`vigilia duplicates` on a real log: merges with their keys, suspects with their weights, no value of a patient."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.assess.assessor import Assessor, Origin
from streams.events import AssessmentRecord

pytestmark = pytest.mark.kafka

DAY = 86_400_000
START = 10_957 * DAY
REGIONS = "ABCDEFGH"
STORY = "Patient complained of numbness of the left arm and a metallic taste, seen by the school nurse Ms Abernathy"
COPY = STORY.replace("complained", "complaned").replace("numbness", "numbnes")


def report(number: int, **fields: Any) -> dict[str, Any]:
    chance = random.Random(number)
    exposure = date(1998, 1, 1) + timedelta(chance.randrange(600))
    onset = exposure + timedelta(chance.randrange(30))
    return {
        "type": "adverse_event", "case_id": f"c{number}", "received_at": START + number * DAY // 10,
        "products": [{"name": chance.choice(["Ain", "Bin", "Cin"])}],
        "events": sorted(chance.sample(["Fever", "Rash", "Pain", "Syncope", "Chills"], 2)),
        "patient": {"age_years": chance.randint(1, 80), "sex": chance.choice("FM"), "region": chance.choice(REGIONS)},
        "exposure_date": str(exposure), "onset_date": str(onset),
        "narrative": " ".join(chance.choices(["fever", "rash", "arm", "was", "seen", "then", "better", "day"], k=20)),
        **fields,
    }  # fmt: skip


@pytest.fixture
def log(world: Any) -> Path:
    """Of 303 reports 300 is 5 under another id and without its age, 301 is word for word 7, 302 a version of 9."""
    odd = {"narrative": STORY, "events": ["Hypoaesthesia", "Dysgeusia"]}
    reports = [report(number, **(odd if number == 5 else {})) for number in range(300)]
    later = {"received_at": START + 31 * DAY}
    of_5 = {**reports[5], "case_id": "c300", "patient": {**reports[5]["patient"], "age_years": None}, "narrative": COPY}
    reports += [{**of_5, **later}, {**reports[7], "case_id": "c301", **later}, {**reports[9], "version": 2, **later}]
    values = [json.dumps(each).encode() for each in reports]
    world.send(world.reports, 0, values)
    assessor = Assessor(world.monitor, b"key")
    records: list[AssessmentRecord] = []
    for offset, value in enumerate(values):
        record = assessor.assess(Origin(world.reports, 0, offset, offset, START + 40 * DAY), value, [])
        records.append(record)  # type: ignore[arg-type]
    world.assess(records)
    return Path(world.path)


def test_every_merge_names_its_keys_and_every_suspect_its_weights(
    vigilia: Callable[..., Any], log: Path, world: Any
) -> None:
    told = json.loads(vigilia("duplicates", "-m", log, "--json").out)
    at = f"{world.reports}/0/"
    assert (told["messages"], told["counted"], told["unread"]) == (303, 301, 0)
    assert [(merge["at"], merge["of"], merge["keys"]) for merge in told["merges"]] == [
        (f"{at}301", f"{at}7", ["report", "text"]), (f"{at}302", f"{at}9", ["case id", "report", "text"]),
    ]  # fmt: skip
    (suspect,) = told["suspects"]
    assert (suspect["at"], suspect["case_id"], suspect["of"], suspect["of_case"]) == (
        f"{at}300",
        "c300",
        f"{at}5",
        "c5",
    )
    weights = {field[0]: (field[1], field[2]) for field in suspect["fields"]}
    assert suspect["bits"] == pytest.approx(sum(bits for _, bits in weights.values()), abs=0.05)
    assert suspect["bits"] >= told["least"][0]
    assert weights["age"] == ("blank", 0)
    assert weights["exposure date"][0] == "hit"


def test_a_case_is_explained_field_by_field_and_no_value_is_shown(vigilia: Callable[..., Any], log: Path) -> None:
    shown = vigilia("duplicates", "-m", log, "--case", "c300")
    assert shown.status == 0
    assert "merged: none" in shown.out
    assert "(case c300) may be" in shown.out
    rows = {line.split("  ")[0]: line for line in shown.out.splitlines()}
    assert {"exposure date", "onset date", "age", "sex", "region", "products", "events", "text", "all"} <= rows.keys()
    assert "blank" in rows["age"]
    for secret in ("Abernathy", "numbness", "Hypoaesthesia", "1998-", "1999-"):
        assert secret not in shown.out + shown.err


def test_a_stricter_rate_asks_for_more(vigilia: Callable[..., Any], log: Path) -> None:
    from_log = json.loads(vigilia("duplicates", "-m", log, "--json").out)
    strict = json.loads(vigilia("duplicates", "-m", log, "--false-rate", "1e-12", "--json").out)
    assert strict["suspects"] == []
    assert strict["least"][0] == pytest.approx(from_log["least"][0] + 29.9, abs=0.01)  # 10^9 is 2^29.9


def test_suspects_within_an_alert_are_asked_for_by_its_id(vigilia: Callable[..., Any], world: Any) -> None:
    world.fill()
    world.detect()
    alert = json.loads(vigilia("alerts", "--json").out.splitlines()[0])
    shown = vigilia("duplicates", "-m", world.path, "--alert", alert["id"])
    assert shown.status == 0
    assert "0 suspects" in shown.out
    assert "could not be compared" in shown.out  # the messages of this stream are no reports
