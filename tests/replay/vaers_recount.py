"""Both levels of the alarm rule recounted for one drug and one event, from the yearly zips, with csv, dicts and floats.

Shares no code with streams/: no numpy, no laziness, no incremental windows, no vocabulary, no state. Whoever doubts an
alert can read this page beside the rule's description and run it:

    python tests/replay/vaers_recount.py ../shared/data/vaers_1990_2006 RV Intussusception
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

THETAS = (1.5, 2, 3, 5, 10, 30)
STRONG = {1.5: 0.1, 2: 0.15, 3: 0.2, 5: 0.2, 10: 0.15, 30: 0.1, 100: 0.1}  # theta: weight
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Report:
    received: date
    vaers_id: str
    products: frozenset[str]
    events: frozenset[str]
    age: float | None
    sex: str
    state: str
    exposure: str
    onset: str
    text: str

    @property
    def stratum(self) -> int:
        if self.age is None:
            return 4
        return 0 if self.age < 1 else 1 if self.age < 6 else 2 if self.age < 18 else 3

    @property
    def day(self) -> int:
        return (self.received - EPOCH).days


def rows(archive: zipfile.ZipFile, part: str) -> list[dict[str, str]]:
    (name,) = [n for n in archive.namelist() if n.upper().endswith(f"{part}.CSV")]
    text = archive.read(name).decode("cp1252", "replace").replace("\0", "")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def day_of(text: str) -> date:
    month, day, year = text.split("/")
    return date(int(year), int(month), int(day))


def read(folder: Path, first: int, last: int) -> list[Report]:
    """Reports of the files of these years, in the order (received, VAERS_ID)."""
    reports = []
    for year in range(first, last + 1):
        with zipfile.ZipFile(folder / f"{year}VAERSData.zip") as archive:
            products, events = defaultdict(set), defaultdict(set)
            for row in rows(archive, "VAX"):
                products[row["VAERS_ID"]].add(row["VAX_TYPE"].strip())
            for row in rows(archive, "SYMPTOMS"):
                terms = {(row[f"SYMPTOM{i}"] or "").strip() for i in range(1, 6)}
                events[row["VAERS_ID"]] |= terms - {""}
            for row in rows(archive, "DATA"):
                key = row["VAERS_ID"]
                age = row["AGE_YRS"].strip()
                if not age and (row["CAGE_YR"].strip() or row["CAGE_MO"].strip()):
                    age = str(float(row["CAGE_YR"] or 0) + float(row["CAGE_MO"] or 0))
                reports.append(
                    Report(
                        day_of(row["RECVDATE"]),
                        key,
                        frozenset(products[key]),
                        frozenset(events[key]),
                        float(age) if age else None,
                        row["SEX"].strip(),
                        row["STATE"].strip(),
                        row["VAX_DATE"].strip(),
                        row["ONSET_DATE"].strip(),
                        row["SYMPTOM_TEXT"],
                    )
                )
    reports.sort(key=lambda r: (r.received, int(r.vaers_id)))
    return reports


def duplicate_keys(report: Report) -> list[object]:
    words = re.sub(r"[\W_]+", " ", report.text.lower()).strip()
    who = (report.products, report.age, report.sex, report.exposure)
    keys: list[object] = [(words, *who)] if len(words) >= 40 else []
    if len(report.events) >= 2 and report.age is not None and report.exposure:
        keys.append((*who, report.onset, report.state, report.events))
    return keys


def counted(reports: list[Report]) -> list[Report]:
    """Reports that share no key with an earlier one of the last 730 days, counted or not."""
    newest: dict[object, int] = {}
    kept = []
    for report in reports:
        keys = duplicate_keys(report)
        if not any(report.day - newest[key] <= 730 for key in keys if key in newest):
            kept.append(report)
        for key in keys:
            newest[key] = report.day
    return kept


def by_day(reports: list[Report]) -> dict[int, list[Report]]:
    days: dict[int, list[Report]] = defaultdict(list)
    for report in reports:
        days[report.day].append(report)
    return dict(sorted(days.items()))


@dataclass(frozen=True)
class Alert:
    """An alert of the pair, with the table over the 730 days and its cases (days and ids) there."""

    day: date
    level: str
    statistic: float
    recent_cases: int
    recent_expected: float
    recent_days: int
    own_past_ratio: float
    table: tuple[int, int, int, int]
    expected: float
    cases: tuple[tuple[date, str], ...]


def gamma_cdf(shape: float, x: float) -> float:
    """Regularised lower incomplete gamma function by its power series."""
    term = total = 1 / shape
    n = 0
    while term > total * 1e-17:
        n += 1
        term *= x / (shape + n)
        total += term
    return total * math.exp(shape * math.log(x) - x - math.lgamma(shape))


def tally(reports: Iterable[Report]) -> list[int]:
    """How many in each stratum."""
    strata = [report.stratum for report in reports]
    return [strata.count(s) for s in range(5)]


def likelihoods(reports: list[Report], drug: str, event: str) -> list[float]:
    """Level strong's factors of one day: theta^S over the smaller of Hoeffding's two bounds, in each stratum."""
    factors = [1.0] * len(STRONG)
    for s in range(5):
        here = [r for r in reports if r.stratum == s]
        n, m = sum(drug in r.products for r in here), sum(event in r.events for r in here)
        if n and m:
            both = sum(drug in r.products and event in r.events for r in here)
            for i, theta in enumerate(STRONG):
                bound = (1 + (theta - 1) * m / len(here)) ** n
                twin = (1 + (theta - 1) * n / len(here)) ** m
                factors[i] *= theta**both / min(bound, twin)
    return factors


def grants(days: dict[int, list[Report]], pairs: int, buckets_a_year: int) -> dict[str, float]:
    """What level strong's reserve gives each pair of a product that is first reported after the first year.

    The reserve starts with half a year of what there is to hand out and gains a half each day. Products that are new on
    a day get half of it in equal parts, and a pair the part over how many events there could be for it.
    """
    known, reserve, found = set[str](), buckets_a_year / 2, dict[str, float]()
    for day, reports in days.items():
        new = {product for report in reports for product in report.products} - known
        known |= new
        if day - min(days) >= 365:
            if new:
                reserve /= 2
                found.update(dict.fromkeys(new, reserve / len(new) / (pairs / len(known))))
            reserve += 0.5
    return found


def recount(
    days: dict[int, list[Report]], drug: str, event: str, *, budget: float = 5, pairs: int = 66_600
) -> list[Alert]:
    """Every alert of the pair, with the rule's other defaults."""
    a, buckets_a_year = 1 / pairs, 238
    threshold = 2 * buckets_a_year / budget
    cautious = threshold * max(1.0, 2.5 * (5 / budget) ** 1.5)  # level early's
    granted = grants(days, pairs, buckets_a_year).get(drug, 0.0)
    started, values, strong = False, [0.0] * len(THETAS), [0.0] * len(STRONG)
    history: list[tuple[int, int, float]] = []  # day, cases of the pair, expected
    alerts = []
    first = min(days)
    daily_cases = {day: tally(reports) for day, reports in days.items()}
    daily_event = {day: tally(r for r in reports if event in r.events) for day, reports in days.items()}
    others = {day: [r for r in reports if drug not in r.products] for day, reports in days.items()}
    daily_others = {day: tally(reports) for day, reports in others.items()}
    daily_others_event = {day: tally(r for r in reports if event in r.events) for day, reports in others.items()}
    daily_drug = {day: tally(r for r in reports if drug in r.products) for day, reports in days.items()}
    for day, reports in days.items():
        in_window = [d for d in range(day - 729, day + 1) if d in days]
        in_stratum = [sum(daily_cases[d][s] for d in in_window) for s in range(5)]
        with_event = [sum(daily_event[d][s] for d in in_window) for s in range(5)]
        with_drug = daily_drug[day]
        overall = (sum(with_event) + 0.5) / (sum(in_stratum) + 1)
        rates = [(with_event[s] + 200 * overall) / (in_stratum[s] + 200) for s in range(5)]
        lately = [d for d in in_window if d > day - 30]
        foreseen = sum(daily_others[d][s] * rates[s] for d in lately for s in range(5))
        surge = max(1.0, (5 + sum(sum(daily_others_event[d]) for d in lately)) / (5 + foreseen))
        expected = surge * sum(n * rate for n, rate in zip(with_drug, rates, strict=True))
        score = sum(drug in r.products and event in r.events for r in reports)
        history.append((day, score, expected))
        if not started and sum(with_drug):
            started, values = True, [buckets_a_year * a] * len(THETAS)
            strong = [buckets_a_year * a / 2 + granted] * len(STRONG)
        if day - first < 365 or not started:
            continue
        old = (day - 365) // 91 * 91  # snapshots: at days divisible by 91
        beta = 5 + sum(e for d, _, e in history if d < old)
        alpha = max(beta, 5 + sum(s for d, s, _ in history if d < old))
        x = min(score, 3)
        for i, theta in enumerate(THETAS):
            values[i] *= theta**x * ((beta + 2 * expected) / (beta + 2 * theta * expected)) ** (alpha + x)
            values[i] += a
        strong = [m * factor + a / 2 for m, factor in zip(strong, likelihoods(reports, drug, event), strict=True)]
        early = sum(values) / len(values)
        proven = sum(weight * m for m, weight in zip(strong, STRONG.values(), strict=True))
        if not score or (early < cautious and proven < threshold):
            continue
        since = (day - 182) // 91 * 91
        recent = [(s, e) for d, s, e in history if d >= since]
        cases, cases_expected = sum(s for s, _ in recent), sum(e for _, e in recent)
        case_days = sum(s > 0 for s, _ in recent)
        # the 5% quantile over (0.5 + ratio E) is at least 2 iff the distribution below 2 (0.5 + ratio E) has <= 5%
        large = gamma_cdf(0.5 + cases, 2 * (0.5 + alpha / beta * cases_expected)) <= 0.05
        if cases < 3 or case_days < 3 or not large:
            continue
        if early >= cautious:
            values = [0.0] * len(THETAS)
        if proven >= threshold:
            strong = [0.0] * len(STRONG)
        both = [r for d in in_window for r in days[d] if drug in r.products and event in r.events]
        n = [sum(daily_drug[d][s] for d in in_window) for s in range(5)]
        table = (len(both), sum(n) - len(both), sum(with_event) - len(both), 0)
        alerts.append(
            Alert(
                EPOCH + timedelta(days=day),
                "strong" if proven >= threshold else "early",
                proven if proven >= threshold else early,
                cases,
                cases_expected,
                case_days,
                alpha / beta,
                (*table[:3], sum(in_stratum) - sum(table)),
                sum(n[s] * with_event[s] / in_stratum[s] for s in range(5) if in_stratum[s]),
                tuple((r.received, r.vaers_id) for r in both),
            )
        )
    return alerts


if __name__ == "__main__":
    folder, drug, event = sys.argv[1:4]
    for alert in recount(by_day(counted(read(Path(folder), 1990, 1999))), drug, event):
        print(alert)  # noqa: T201
