"""The whole product on the real stream: VAERS 1990-1999 replayed on a real Kafka and Redis by the command itself.

Settings are the defaults for VAERS, without a hint of vaccine or event. Dates and numbers expected here are published
(MMWR 1999;48:577, Niu 2001) or recounted from the yearly zips with csv (`vaers_recount.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from streams.events import Alert, decode_alert
from tests.lab import run_cli
from tests.replay.vaers_recount import Report, by_day, recount

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

EPOCH = date(1970, 1, 1)
SUSPENDED = date(1999, 7, 16)
WINDOW = (date(1998, 10, 1), SUSPENDED)
PAIR = ("RV", "Intussusception")


@pytest.fixture(scope="module")
def replay(shared_data: Path, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    out = tmp_path_factory.mktemp("vaers") / "alerts.jsonl"
    days = ("--from", "1990-01-01", "--to", "1999-12-31")
    folder = str(shared_data / "vaers_1990_2006")
    result = run_cli(kafka, "replay", "vaers", folder, *days, "--out", str(out), "--json", timeout=850)
    assert result.returncode == 0, result.stderr
    return {**json.loads(result.stdout), "alerts": [decode_alert(line) for line in out.read_bytes().splitlines()]}


@pytest.fixture(scope="module")
def alerts(replay: dict[str, object]) -> list[Alert]:
    found = replay["alerts"]
    assert isinstance(found, list)
    return found


def day(alert: Alert) -> date:
    return EPOCH + timedelta(days=alert.bucket)


def test_every_report_has_its_outcome(replay: dict[str, object]) -> None:
    outcomes = replay["outcomes"]
    assert isinstance(outcomes, dict)
    assert replay["messages"] == replay["applied"] == 97_064
    assert sum(n for name, n in outcomes.items() if name != "tick") == 97_064


def test_rotashield_is_alerted_on_3_march_1999_with_five_cases(alerts: list[Alert]) -> None:
    first = next(a for a in alerts if (a.drug, a.event) == PAIR)
    assert (first.level, first.status, first.state) == ("early", "new", "raised")
    assert first.raised_at == "1999-03-03"
    assert first.cases == len(first.evidence) == first.table.a == 5
    assert first.measures["recent_days"] == 4
    assert first.measures["recent_expected"] == pytest.approx(0.06, abs=0.01)
    assert day(first) < SUSPENDED


def test_few_other_pairs_are_new_before_the_suspension(alerts: list[Alert]) -> None:
    inside = [a for a in alerts if a.status == "new" and WINDOW[0] <= day(a) <= WINDOW[1]]
    new = [a for a in inside if a.level == "early"]
    assert len(inside) <= 16, "strong adds those whose budget it keeps"
    assert len(new) <= 8
    assert sum(a.drug == "RV" for a in new) >= 3


def test_vaccines_of_the_same_visit_are_never_new(alerts: list[Alert]) -> None:
    innocent = [a for a in alerts if a.event == PAIR[1] and a.drug in ("IPV", "DTAP")]
    assert all(a.status != "new" for a in innocent)


def test_rotashield_is_strong_six_weeks_before_the_suspension(alerts: list[Alert]) -> None:
    first = next(a for a in alerts if (a.drug, a.event) == PAIR and a.level == "strong")
    assert (day(first), first.measures["recent_cases"], first.status) == (date(1999, 6, 2), 9, "update")


@pytest.mark.parametrize(
    "pair",
    [
        PAIR,
        ("DTAP", "Intussusception"),
        ("VARCEL", "Abortion"),
        ("DTP", "Mental retardation severity unspecified"),
    ],
)
def test_every_alert_of_a_pair_equals_its_recount_with_csv_and_plain_python(
    alerts: list[Alert], reports: list[Report], pair: tuple[str, str]
) -> None:
    found = [a for a in alerts if (a.drug, a.event) == pair]
    expected = recount(by_day(reports), *pair)
    assert found
    assert [day(a) for a in found] == [e.day for e in expected]
    for alert, plain in zip(found, expected, strict=True):
        table, measures = alert.table, alert.measures
        assert (table.a, table.b, table.c, table.d) == plain.table
        assert table.expected == pytest.approx(plain.expected, rel=1e-9)
        assert alert.level == ("strong" if "strong" in {e.level for e in expected if e.day <= plain.day} else "early")
        assert alert.statistic == pytest.approx(plain.statistic, rel=1e-8)
        assert (measures["recent_cases"], measures["recent_days"]) == (plain.recent_cases, plain.recent_days)
        assert measures["recent_expected"] == pytest.approx(plain.recent_expected, rel=1e-9)
        assert measures["own_past_ratio"] == pytest.approx(plain.own_past_ratio, rel=1e-9)
        cases = {(datetime.fromtimestamp(c.received_at / 1000, UTC).date(), c.case_id) for c in alert.evidence}
        assert cases <= set(plain.cases)
        assert len(cases) + alert.evidence_omitted == len(plain.cases)


def test_the_five_cases_are_those_of_the_published_dates(reports: list[Report]) -> None:
    assert recount(by_day(reports), *PAIR)[0].cases == (
        (date(1998, 12, 18), "117590"),
        (date(1999, 2, 11), "118884"),
        (date(1999, 2, 12), "118916"),
        (date(1999, 3, 3), "119684"),
        (date(1999, 3, 3), "119685"),
    )
