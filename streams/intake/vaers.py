"""VAERS yearly files (CDC/FDA) to reports: DATA, SYMPTOMS and VAX joined by VAERS_ID, in order of receipt.

The files are cp1252 with CRLF, hold stray NUL bytes, several SYMPTOMS rows for an id with terms repeated across them,
and a VAX row for each vaccine. Of a report we take:

| field | from |
|---|---|
| `case_id` | VAERS_ID |
| `products` | VAX_TYPE, VAX_LOT and VAX_MANU, each combination once, in file order |
| `events` | SYMPTOM1 to SYMPTOM5 of all its rows, each once, in file order |
| `received_at` | RECVDATE, midnight UTC |
| `patient` | AGE_YRS, else CAGE_YR + CAGE_MO (both in years); SEX; STATE |
| `exposure_date`, `onset_date` | VAX_DATE, ONSET_DATE |
| `serious` | DIED, L_THREAT, HOSPITAL, X_STAY, DISABLE or BIRTH_DEFECT is Y; `seriousness` says which of them |
| `outcome` | `fatal` if DIED is Y, else RECOVD |
| `narrative` | SYMPTOM_TEXT |

Nothing is left out. A report that can't be a case (no readable RECVDATE, no vaccine, or rows in SYMPTOMS or VAX without
one in DATA) comes out as the canonical message that intake refuses, so that it ends as a dead letter like any other
bad message. An optional field that can't be read is left empty. Each is told to `on_problem`.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from streams.errors import ConfigurationError
from streams.events import AdverseEvent, Outcome, Patient, Product, Seriousness, Sex

__all__ = ["Problem", "read_vaers"]

_MEMBER: Final = re.compile(r"(?P<year>\d{4})VAERS(?P<part>DATA|SYMPTOMS|VAX)\.csv", re.IGNORECASE)
_PARTS: Final = ("DATA", "SYMPTOMS", "VAX")
_DATE: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_SERIOUS: Final = ("DIED", "L_THREAT", "HOSPITAL", "X_STAY", "DISABLE")
_CRITERIA: Final[dict[str, Seriousness]] = {
    "DIED": "death",
    "L_THREAT": "life_threatening",
    "HOSPITAL": "hospitalisation",
    "X_STAY": "hospitalisation",
    "DISABLE": "disability",
    "BIRTH_DEFECT": "congenital_anomaly",  # a column of later years
}
_OUTCOMES: Final[dict[str, Outcome]] = {"Y": "recovered", "N": "not_recovered", "U": "unknown"}
_SEXES: Final[dict[str, Sex]] = {"F": "F", "M": "M", "U": "U", "": "U"}
_COLUMNS: Final = {
    "DATA": {"VAERS_ID", "RECVDATE", "STATE", "AGE_YRS", "CAGE_YR", "CAGE_MO", "SEX", "SYMPTOM_TEXT", "VAX_DATE"}
    | {"ONSET_DATE", *_SERIOUS},
    "SYMPTOMS": {"VAERS_ID", *(f"SYMPTOM{i}" for i in range(1, 6))},
    "VAX": {"VAERS_ID", "VAX_TYPE"},
}
Row = dict[str, str]


class Problem(NamedTuple):
    """Something in a file that could not be used as it is. `reason` names the column, never its content.

    `fatal`: the report becomes a message that intake refuses; else one optional field of it was left empty.
    """

    file: str
    vaers_id: str
    reason: str
    fatal: bool


@dataclass
class _Year:
    """The three files of a year, wherever they are."""

    label: str
    parts: dict[str, tuple[Path, str | None]] = field(default_factory=dict)

    @property
    def span(self) -> tuple[date, date]:
        """First and last day that its reports may have been received on."""
        return date(int(self.label), 1, 1), date(int(self.label), 12, 31)

    def name(self, part: str) -> str:
        path, member = self.parts[part]
        return f"{path.name}:{member}" if member else path.name

    def rows(self, part: str) -> Iterator[Row]:
        """The rows of one file as column -> stripped text."""
        try:
            yield from self._rows(part)
        except (OSError, csv.Error, zipfile.BadZipFile, zlib.error) as error:
            raise ConfigurationError(f"{self.name(part)}: can't be read ({error})") from None

    def _rows(self, part: str) -> Iterator[Row]:
        with _opened(*self.parts[part]) as binary:
            text = io.TextIOWrapper(binary, encoding="cp1252", errors="replace", newline="")
            lines = csv.reader(line.replace("\0", "") for line in text)
            header = next(lines, [])
            if missing := _COLUMNS[part] - set(header):
                raise ConfigurationError(f"{self.name(part)}: no column {', '.join(sorted(missing))}")
            for cells in lines:
                if cells:
                    cells.extend([""] * (len(header) - len(cells)))
                    yield {name: cell.strip() for name, cell in zip(header, cells, strict=False)}


def read_vaers(
    paths: Iterable[str | Path],
    start: date | None = None,
    end: date | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> Iterator[AdverseEvent | bytes]:
    """Reports received from `start` to `end` (both included), ordered by (RECVDATE, VAERS_ID) across all files.

    `paths` are yearly zips, CSV files, or folders of either. One year at a time is held in memory; years outside the
    range are not opened. Yields a report, or, where there is no usable one, the bytes of the message that intake will
    refuse; those stand at the start of their year and are never filtered out by date.

    Raises ConfigurationError for a path that can't be read, a year that is incomplete or there twice, or a file
    without the columns needed.
    """
    report_problem = on_problem or (lambda _: None)
    held: list[_Entry] = []  # received after the end of their file's year
    for year in _years(paths, report_problem):
        first, last = year.span
        if (end and first > end) or (start and last < start):
            continue
        entries = [*held, *_entries(year, report_problem)]
        entries.sort(key=lambda entry: entry.order)
        held = [entry for entry in entries if entry.order[0] > last]
        yield from _within(entries[: len(entries) - len(held)], start, end)
    yield from _within(held, start, end)


class _Entry(NamedTuple):
    order: tuple[date, int, str]
    message: AdverseEvent | bytes


def _within(entries: Iterable[_Entry], start: date | None, end: date | None) -> Iterator[AdverseEvent | bytes]:
    for (received, _, _), message in entries:
        if received == date.min or ((start is None or received >= start) and (end is None or received <= end)):
            yield message


def _years(paths: Iterable[str | Path], on_problem: Callable[[Problem], None]) -> list[_Year]:
    """What the paths hold, by year."""
    years: dict[str, _Year] = {}
    for path, member in _files(paths):
        name = (member or path.name).rsplit("/", 1)[-1]
        match = _MEMBER.fullmatch(name)
        if match is None:
            if "VAERS" in name.upper():
                on_problem(Problem(path.name, "", f"{name} is not a file of one year: not read", fatal=False))
            continue
        year = years.setdefault(match["year"], _Year(match["year"]))
        part = match["part"].upper()
        if part in year.parts:
            raise ConfigurationError(f"{match['year']} {part} is there twice: {year.name(part)} and {path.name}")
        year.parts[part] = (path, member)
    if not years:
        raise ConfigurationError("no VAERS files found: they are called 1999VAERSData.zip or 1999VAERSDATA.csv")
    for year in years.values():
        if lacking := [part for part in _PARTS if part not in year.parts]:
            raise ConfigurationError(f"VAERS {year.label}: {', '.join(lacking)} is missing")
    return [years[label] for label in sorted(years)]


def _files(paths: Iterable[str | Path]) -> Iterator[tuple[Path, str | None]]:
    """Every (file, member of a zip or None) below the paths."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from _files(sorted(p for p in path.iterdir() if p.suffix.lower() in (".zip", ".csv")))
        elif path.suffix.lower() == ".zip":
            try:
                with zipfile.ZipFile(path) as archive:
                    yield from ((path, name) for name in archive.namelist())
            except (OSError, zipfile.BadZipFile) as error:
                raise ConfigurationError(f"{path}: can't be read ({error})") from None
        elif path.is_file():
            yield path, None
        else:
            raise ConfigurationError(f"{path}: no such file or folder")


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        with path.open("rb") as binary:
            yield binary
    else:
        with zipfile.ZipFile(path) as archive, archive.open(member) as binary:
            yield binary


def _entries(year: _Year, on_problem: Callable[[Problem], None]) -> Iterator[_Entry]:
    """The reports of one year, in file order, then what belongs to no report."""
    terms: dict[str, dict[str, None]] = defaultdict(dict)
    for row in year.rows("SYMPTOMS"):
        terms[row["VAERS_ID"]].update(dict.fromkeys(row[f"SYMPTOM{i}"] for i in range(1, 6)))
    vaccines: dict[str, dict[Product, None]] = defaultdict(dict)
    for row in year.rows("VAX"):
        if row["VAX_TYPE"]:
            vaccines[row["VAERS_ID"]][_product(row)] = None
    seen: set[str] = set()
    for row in year.rows("DATA"):
        key = row["VAERS_ID"]
        seen.add(key)
        yield _report(row, _named(terms.get(key)), list(vaccines.get(key, ())), year.name("DATA"), on_problem)
    for key in sorted((terms.keys() | vaccines.keys()) - seen):
        part = "SYMPTOMS" if key in terms else "VAX"
        on_problem(Problem(year.name(part), key, "no row in DATA", fatal=True))
        yield _refused(key, list(vaccines.get(key, ())), _named(terms.get(key)))


def _named(names: dict[str, None] | None) -> list[str]:
    return [name for name in names or () if name]


def _product(row: Row) -> Product:
    """A vaccine with its lot and manufacturer, where the row names any."""
    lot, maker = (row.get(column, "") for column in ("VAX_LOT", "VAX_MANU"))
    unknown = ("", "UNKNOWN", "UNK", "NONE", "N/A", "UNKNOWN MANUFACTURER")
    return Product(
        row["VAX_TYPE"],
        lot=None if lot.upper() in unknown else lot,
        manufacturer=None if maker.upper() in unknown else maker,
    )


def _report(
    row: Row, events: list[str], products: list[Product], file: str, on_problem: Callable[[Problem], None]
) -> _Entry:
    """One row of DATA with its terms and vaccines."""
    key = row["VAERS_ID"]

    def unreadable(column: str, *, fatal: bool = False) -> None:
        on_problem(Problem(file, key, f"{column} is not readable", fatal=fatal))

    received = _date(row["RECVDATE"])
    if not key or received is None:
        unreadable("VAERS_ID" if not key else "RECVDATE", fatal=True)
        return _refused(key, products, events)
    if not products:
        on_problem(Problem(file, key, "no vaccine", fatal=True))
    optional: dict[str, date | None] = {}
    for column in ("VAX_DATE", "ONSET_DATE"):
        optional[column] = _date(row[column])
        if row[column] and optional[column] is None:
            unreadable(column)
    sex = _SEXES.get(row["SEX"])
    if sex is None:
        unreadable("SEX")
    age = _age(row, unreadable)
    criteria = dict.fromkeys(name for column, name in _CRITERIA.items() if row.get(column) == "Y")
    seriousness: list[Seriousness] = list(criteria)
    midnight = datetime(received.year, received.month, received.day, tzinfo=UTC)
    report = AdverseEvent(
        case_id=key,
        products=products,
        events=events,
        received_at=int(midnight.timestamp()) * 1000,
        patient=Patient(age_years=age, sex=sex or "U", region=row["STATE"] or None),
        exposure_date=optional["VAX_DATE"],
        onset_date=optional["ONSET_DATE"],
        serious=bool(seriousness),
        seriousness=seriousness,
        outcome="fatal" if "death" in seriousness else _OUTCOMES.get(row.get("RECOVD", "")),
        narrative=row["SYMPTOM_TEXT"] or None,
    )
    return _Entry((received, int(key) if key.isdecimal() else 0, key), report)


def _refused(key: str, products: list[Product], events: list[str]) -> _Entry:
    """What there is of a report that can't be a case, as a message that says so by its received_at."""
    content = {
        "type": "adverse_event",
        "case_id": key,
        "products": [{"name": product.name} for product in products],
        "events": events,
        "received_at": "unreadable",  # without one, the record's own time would count
    }
    return _Entry((date.min, int(key) if key.isdecimal() else 0, key), msgspec.json.encode(content))


def _date(text: str) -> date | None:
    """MM/DD/YYYY, or None."""
    if (match := _DATE.fullmatch(text)) is None:
        return None
    month, day, year = map(int, match.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _age(row: Row, unreadable: Callable[[str], None]) -> float | None:
    """AGE_YRS as reported, else the age that VAERS calculated from the birth date."""
    for columns in (("AGE_YRS",), ("CAGE_YR", "CAGE_MO")):
        given = [row[column] for column in columns if row[column]]
        if not given:
            continue
        try:
            age = sum(map(float, given))
        except ValueError:
            age = -1.0
        if 0 <= age <= 150:
            return age
        unreadable(columns[0])
    return None
