"""VAERS files: every trap on hand-made files, and the real files against a recount with plain csv."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from streams.errors import ConfigurationError, SchemaMismatch
from streams.events import AdverseEvent, Patient, Product, encode
from streams.intake import parse
from streams.intake.vaers import Problem, read_vaers

DATA = ["VAERS_ID", "RECVDATE", "STATE", "AGE_YRS", "CAGE_YR", "CAGE_MO", "SEX", "SYMPTOM_TEXT", "DIED", "L_THREAT"]
DATA += ["ER_VISIT", "HOSPITAL", "X_STAY", "DISABLE", "VAX_DATE", "ONSET_DATE", "RECOVD"]
SYMPTOMS = ["VAERS_ID", *(name for i in range(1, 6) for name in (f"SYMPTOM{i}", f"SYMPTOMVERSION{i}"))]
VAX = ["VAERS_ID", "VAX_TYPE", "VAX_MANU", "VAX_LOT", "VAX_NAME"]

Rows = list[dict[str, str]]


def table(header: list[str], rows: Rows) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("cp1252")


def write_year(folder: Path, year: int, data: Rows, symptoms: Rows, vax: Rows) -> Path:
    path = folder / f"{year}VAERSData.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{year}VAERSDATA.csv", table(DATA, data))
        archive.writestr(f"{year}VAERSSYMPTOMS.csv", table(SYMPTOMS, symptoms))
        archive.writestr(f"{year}VAERSVAX.csv", table(VAX, vax))
    return path


def one(folder: Path, **row: str) -> AdverseEvent:
    """The report of a file with one row in each table."""
    data = [{"VAERS_ID": "7", "RECVDATE": "03/01/1999", **row}]
    path = write_year(folder, 1999, data, [{"VAERS_ID": "7", "SYMPTOM1": "Pyrexia"}], [{"VAERS_ID": "7", **RV}])
    (report,) = read_vaers([path])
    assert isinstance(report, AdverseEvent)
    return report


RV = {"VAX_TYPE": "RV"}


def test_seriousness_outcome_lots_and_manufacturers_are_taken_where_they_are_given(tmp_path: Path) -> None:
    assert one(tmp_path, RECOVD="N").outcome == "not_recovered"
    dead = one(tmp_path, DIED="Y", X_STAY="Y", HOSPITAL="Y", RECOVD="Y")
    assert (dead.serious, dead.seriousness, dead.outcome) == (True, ["death", "hospitalisation"], "fatal")
    rows = [{"VAX_TYPE": "RV", "VAX_LOT": lot, "VAX_MANU": "WYETH"} for lot in ("4A", "4B", "4A", "Unknown")]
    data = [{"VAERS_ID": "7", "RECVDATE": "03/01/1999"}]
    path = write_year(tmp_path, 1999, data, [{"VAERS_ID": "7"}], [{"VAERS_ID": "7", **row} for row in rows])
    (report,) = read_vaers([path])
    assert isinstance(report, AdverseEvent)
    assert [(p.name, p.lot, p.manufacturer) for p in report.products] == [
        ("RV", "4A", "WYETH"),
        ("RV", "4B", "WYETH"),
        ("RV", None, "WYETH"),
    ]


def test_a_report_is_joined_from_the_three_files(tmp_path: Path) -> None:
    path = write_year(
        tmp_path,
        1999,
        [
            {
                "VAERS_ID": "118000",
                "RECVDATE": "03/03/1999",
                "STATE": "CA",
                "AGE_YRS": ".3",
                "SEX": "M",
                "SYMPTOM_TEXT": "Caf\u00e9-au-lait spots,\r\nthen \u201cfever\u201d",
                "HOSPITAL": "Y",
                "VAX_DATE": "02/20/1999",
                "ONSET_DATE": "02/23/1999",
            }
        ],
        [
            {"VAERS_ID": "118000", "SYMPTOM1": "Intussusception", "SYMPTOM2": "Vomiting"},
            {"VAERS_ID": "118000", "SYMPTOM1": "Vomiting", "SYMPTOM2": " Melaena "},
        ],
        [
            {"VAERS_ID": "118000", "VAX_TYPE": "RV"},
            {"VAERS_ID": "118000", "VAX_TYPE": "DTAP"},
            {"VAERS_ID": "118000", "VAX_TYPE": "RV"},
        ],
    )
    assert list(read_vaers([path])) == [
        AdverseEvent(
            case_id="118000",
            products=[Product("RV"), Product("DTAP")],
            events=["Intussusception", "Vomiting", "Melaena"],
            received_at=int(datetime(1999, 3, 3, tzinfo=UTC).timestamp() * 1000),
            patient=Patient(0.3, "M", "CA"),
            exposure_date=date(1999, 2, 20),
            onset_date=date(1999, 2, 23),
            serious=True,
            seriousness=["hospitalisation"],
            narrative="Caf\u00e9-au-lait spots,\r\nthen \u201cfever\u201d",
        )
    ]


def test_reports_come_by_day_and_number_across_files(tmp_path: Path) -> None:
    """Also from a file that is not sorted, and with a report of next year in this year's file."""
    for year, rows in {
        1998: [("20", "12/31/1998"), ("9", "01/02/1999"), ("100", "01/05/1998"), ("20000", "01/05/1998")],
        1999: [("12", "01/02/1999"), ("11", "01/01/1999")],
    }.items():
        data = [{"VAERS_ID": key, "RECVDATE": day} for key, day in rows]
        write_year(tmp_path, year, data, [], [{"VAERS_ID": key, **RV} for key, _ in rows])
    assert [m.case_id for m in reports(tmp_path)] == ["100", "20000", "20", "11", "9", "12"]
    chosen = read_vaers([tmp_path], date(1998, 12, 31), date(1999, 1, 1))
    assert [m.case_id for m in chosen if isinstance(m, AdverseEvent)] == ["20", "11"]


def reports(folder: Path) -> Iterator[AdverseEvent]:
    for message in read_vaers([folder]):
        assert isinstance(message, AdverseEvent)
        yield message


def test_nul_bytes_are_dropped_and_unpacked_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "2000VAERSDATA.CSV").write_bytes(
        table(DATA, [{"VAERS_ID": "1", "RECVDATE": "01/02/2000", "SYMPTOM_TEXT": "a#b \u00e9"}]).replace(b"#", b"\0")
    )
    (tmp_path / "2000VAERSSYMPTOMS.CSV").write_bytes(table(SYMPTOMS, [{"VAERS_ID": "1", "SYMPTOM1": "Rash"}]))
    (tmp_path / "2000VAERSVAX.CSV").write_bytes(table(VAX, [{"VAERS_ID": "1", **RV}]))
    (report,) = reports(tmp_path)
    assert report.narrative == "ab \u00e9"


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ({"AGE_YRS": "4.5", "CAGE_YR": "3", "CAGE_MO": ".9"}, 4.5),
        ({"CAGE_YR": "3", "CAGE_MO": ".5"}, 3.5),
        ({"CAGE_MO": ".2"}, 0.2),
        ({"CAGE_YR": "61"}, 61),
        ({}, None),
        ({"AGE_YRS": "0"}, 0),
    ],
)
def test_the_reported_age_goes_before_the_calculated_one(
    tmp_path: Path, ages: dict[str, str], expected: float | None
) -> None:
    assert one(tmp_path, **ages).patient.age_years == expected


@pytest.mark.parametrize("flag", ["DIED", "L_THREAT", "HOSPITAL", "X_STAY", "DISABLE"])
def test_serious_is_what_the_regulation_calls_so(tmp_path: Path, flag: str) -> None:
    assert one(tmp_path, **{flag: "Y"}).serious is True


def test_a_visit_to_the_emergency_room_alone_is_not_serious(tmp_path: Path) -> None:
    assert one(tmp_path, ER_VISIT="Y").serious is False


def test_an_optional_field_that_is_not_readable_is_left_out_and_told(tmp_path: Path) -> None:
    row = {"VAX_DATE": "02/30/1999", "ONSET_DATE": "soon", "AGE_YRS": "200", "SEX": "?", "CAGE_YR": "x"}
    data = [{"VAERS_ID": "7", "RECVDATE": "03/01/1999", **row}]
    path = write_year(tmp_path, 1999, data, [], [{"VAERS_ID": "7", **RV}])
    problems: list[Problem] = []
    (report,) = read_vaers([path], on_problem=problems.append)
    assert isinstance(report, AdverseEvent)
    assert (report.exposure_date, report.onset_date, report.patient) == (None, None, Patient())
    assert sorted(p.reason.split()[0] for p in problems) == ["AGE_YRS", "CAGE_YR", "ONSET_DATE", "SEX", "VAX_DATE"]
    assert not any(p.fatal for p in problems)


def test_no_row_vanishes(tmp_path: Path) -> None:
    """What can't be a case is told, and comes out as a message that intake refuses: counts add up in the end."""
    path = write_year(
        tmp_path,
        1999,
        [
            {"VAERS_ID": "1", "RECVDATE": "03/01/1999"},
            {"VAERS_ID": "2", "RECVDATE": "31/12/1999"},
            {"VAERS_ID": "3", "RECVDATE": ""},
            {"VAERS_ID": "4", "RECVDATE": "03/02/1999"},
            {"VAERS_ID": "5", "RECVDATE": "03/02/1999"},
            {"VAERS_ID": "", "RECVDATE": "03/02/1999"},
        ],
        [{"VAERS_ID": "1", "SYMPTOM1": "Rash"}, {"VAERS_ID": "98", "SYMPTOM1": "Rash"}],
        [{"VAERS_ID": key, "VAX_TYPE": "MMR" if key != "5" else ""} for key in ("1", "2", "3", "5", "99")],
    )
    problems: list[Problem] = []
    good, refused = [], []
    for message in read_vaers([path], on_problem=problems.append):
        value = message if isinstance(message, bytes) else encode(message)
        try:
            good.append(parse(value, topic="t", timestamp=1_700_000_000_000, headers=None, max_bytes=10**6).case_id)
        except SchemaMismatch:
            refused.append(json.loads(value)["case_id"])
    assert good == ["1"]
    assert sorted(refused) == ["", "2", "3", "4", "5", "98", "99"]
    assert sorted(p.vaers_id for p in problems if p.fatal) == sorted(refused)


def test_what_is_refused_is_not_hidden_by_a_choice_of_days(tmp_path: Path) -> None:
    path = write_year(tmp_path, 1999, [{"VAERS_ID": "2", "RECVDATE": "?"}], [], [{"VAERS_ID": "2", **RV}])
    assert [type(m) for m in read_vaers([path], date(1999, 7, 1), date(1999, 7, 2))] == [bytes]
    assert list(read_vaers([path], date(2001, 1, 1))) == []


def test_a_folder_that_can_not_be_read_rightly_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        list(read_vaers([tmp_path / "nothing"]))
    with pytest.raises(ConfigurationError, match="no VAERS files"):
        list(read_vaers([tmp_path]))
    path = write_year(tmp_path, 1999, [], [], [])
    with pytest.raises(ConfigurationError, match="twice"):
        list(read_vaers([path, tmp_path]))
    with zipfile.ZipFile(path) as archive:
        archive.extract("1999VAERSVAX.csv", tmp_path / "part")
    with pytest.raises(ConfigurationError, match="DATA, SYMPTOMS is missing"):
        list(read_vaers([tmp_path / "part"]))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ConfigurationError, match="can't be read"):
        list(read_vaers([path]))


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1999VAERSData.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part in ("DATA", "SYMPTOMS", "VAX"):
            archive.writestr(f"1999VAERS{part}.csv", "VAERS_ID,OTHER\r\n")
    with pytest.raises(ConfigurationError, match="no column"):
        list(read_vaers([path]))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = write_year(tmp_path, 1999, [{"VAERS_ID": "1", "RECVDATE": "03/01/1999"}] * 50, [], [])
    damaged = bytearray(path.read_bytes())
    damaged[80:90] = b"\xff" * 10
    path.write_bytes(damaged)
    with pytest.raises(ConfigurationError, match=r"1999VAERSDATA\.csv: can't be read"):
        list(read_vaers([path]))


# ---------------------------------------------------------------- the real files


def recount(folder: Path, year: int, part: str) -> Iterator[dict[str, str]]:
    """The rows of a real file, read the plain way."""
    with zipfile.ZipFile(folder / f"{year}VAERSData.zip") as archive:
        (member,) = (n for n in archive.namelist() if n.upper().endswith(f"VAERS{part}.CSV"))
        text = archive.read(member).replace(b"\0", b"").decode("cp1252")
    yield from csv.DictReader(io.StringIO(text, newline=""))


def test_1998_and_1999_equal_a_recount(shared_data: Path) -> None:
    folder = shared_data / "vaers_1990_2006"
    expected: dict[str, tuple[str, set[str], set[str]]] = {}
    for year in (1998, 1999):
        products: dict[str, set[str]] = {}
        events: dict[str, set[str]] = {}
        for row in recount(folder, year, "VAX"):
            products.setdefault(row["VAERS_ID"], set()).add(row["VAX_TYPE"])
        for row in recount(folder, year, "SYMPTOMS"):
            terms = (row[f"SYMPTOM{i}"].strip() for i in range(1, 6))
            events.setdefault(row["VAERS_ID"], set()).update(t for t in terms if t)
        for row in recount(folder, year, "DATA"):
            key = row["VAERS_ID"]
            expected[key] = (row["RECVDATE"], products[key], events[key])
    seen = {}
    for message in read_vaers([folder], date(1998, 1, 1), date(1999, 12, 31)):
        assert isinstance(message, AdverseEvent)
        assert isinstance(message.received_at, int)
        day = datetime.fromtimestamp(message.received_at / 1000, UTC).strftime("%m/%d/%Y")
        seen[message.case_id] = (day, {p.name for p in message.products}, set(message.events))
    assert len(seen) == 9_978 + 12_249
    assert seen == expected


def test_all_years_are_read_in_order_and_pass_intake(shared_data: Path) -> None:
    """INDEX.md counts 203,446 reports to 2006; those to 2000, which are here, are 111,014."""
    last = (0, 0)
    months: Counter[tuple[str, str]] = Counter()
    number = 0
    for message in read_vaers([shared_data / "vaers_1990_2006"]):
        assert isinstance(message, AdverseEvent)
        assert isinstance(message.received_at, int)
        order = (message.received_at, int(message.case_id))
        assert order > last
        last = order
        number += 1
        if number % 10 == 0:
            value = encode(message)
            assert parse(value, topic="t", timestamp=1_700_000_000_000, headers=None, max_bytes=10**6) == message
        if any(product.name == "RV" for product in message.products):
            month = datetime.fromtimestamp(message.received_at / 1000, UTC).strftime("%Y-%m")
            months[month, "reports"] += 1
            months[month, "intussusception"] += any("INTUSS" in event.upper() for event in message.events)
    if last[0] < datetime(2001, 1, 1, tzinfo=UTC).timestamp() * 1000:
        assert number == 111_014
    published = json.loads((shared_data / "check_vaers_rotashield" / "published_and_observed.json").read_text("utf-8"))
    for month, counts in published["observed_in_this_copy_reports_by_receipt_month"].items():
        assert [months[month, "reports"], months[month, "intussusception"]] == counts, month
