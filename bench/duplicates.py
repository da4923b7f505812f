"""`python -m bench.duplicates`: what the keys and the score find of injected duplicates, and what on the real reports.

VAERS 1990-2000. One report in twenty is sent again 0 to 60 days later as another case, changed in one way that such
copies are; what finds it, and what else is found with it, is counted. Writes docs/results/duplicates.md. Takes about
six minutes on a quiet machine.
"""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from bench.page import commit, machine, write_section
from bench.throughput import today
from bench.vaers import FOLDER, MONITOR
from streams.commands.duplicates import read_files
from streams.commands.files import messages
from streams.duplicates.listing import Listing, list_duplicates
from streams.duplicates.suspects import FALSE_PER_REPORT
from streams.events import AdverseEvent

SHARE = 0.05
HORIZON = 730
SEED = 1
RATES = (FALSE_PER_REPORT, 0.01)
DAY_MS = 86_400_000

Change = Callable[[AdverseEvent, random.Random], AdverseEvent]


def main() -> None:
    sent = messages("vaers", (str(FOLDER),), datetime(1990, 1, 1), datetime(2000, 12, 31), Counter())
    real = [report for report in sent if isinstance(report, AdverseEvent)]
    natural = listed(real)
    copies = injected(real)
    mixed = sorted([*real, *(copy.report for copy in copies)], key=lambda report: (report.received_at, report.case_id))
    found = listed(mixed)
    head = f"{today()}, commit {commit()}, {machine()}. {len(real):,} reports of VAERS 1990-2000."
    ages = aged(real)
    text = "\n\n".join(
        [head, on_copies(copies, found), precision(copies, found), on_real(natural, ages), impossible(real)]
    )
    write_section("duplicates.md", "python -m bench.duplicates", "# Duplicates: injected ones and real ones", text)
    print(text)


def listed(reports: Sequence[AdverseEvent]) -> list[Listing]:
    """Merges and suspects of `reports`, which arrive in this order: one listing for each of RATES."""
    cases, compared = read_files(reports, MONITOR)
    return [list_duplicates(cases, compared, HORIZON, rate) for rate in RATES]


class Copy(NamedTuple):
    """An injected duplicate: what was changed, and whose copy it is."""

    change: str
    of: str
    report: AdverseEvent


def injected(reports: Sequence[AdverseEvent]) -> list[Copy]:
    """Copies of one report in twenty, each changed in one of the ways in turn."""
    chance = random.Random(SEED)
    chosen = chance.sample(range(len(reports)), round(SHARE * len(reports)))
    pool = [event for report in reports for event in report.events]
    ways = changes(pool)
    copies = []
    for number, index in enumerate(chosen):
        name, change = list(ways.items())[number % len(ways)]
        report = reports[index]
        received = report.received_at
        assert isinstance(received, int)
        copy = replace(
            change(report, chance), case_id=f"copy-{number}", received_at=received + chance.randint(0, 60) * DAY_MS
        )
        copies.append(Copy(name, report.case_id, copy))
    return copies


def changes(pool: Sequence[str]) -> dict[str, Change]:
    """What may happen to a report on its second way. `pool`: terms, as often as they are used."""

    def recoded(report: AdverseEvent, chance: random.Random) -> AdverseEvent:
        """One term in three is left out or coded as another."""
        events = [
            event if chance.random() > 1 / 3 else chance.choice([None, chance.choice(pool)]) for event in report.events
        ]
        return replace(report, events=list(dict.fromkeys(event for event in events if event)) or report.events)

    def another_source(report: AdverseEvent, chance: random.Random) -> AdverseEvent:
        """The text told in other words, the place not known, terms coded anew."""
        told = retold(report.narrative, chance)
        patient = replace(report.patient, region=None)
        return replace(recoded(report, chance), narrative=told, patient=patient)

    def several(report: AdverseEvent, chance: random.Random) -> AdverseEvent:
        return without_age(shifted(recoded(typos(report, chance), chance), chance), chance)

    return {
        "none: sent again as another case": lambda report, _: report,
        "typing mistakes in the text": typos,
        "age missing": without_age,
        "dates shifted by 1 to 7 days": shifted,
        "a third of the terms coded otherwise": recoded,
        "another source: told anew, recoded, no region": another_source,
        "typing mistakes, recoded, shifted, no age": several,
    }


def typos(report: AdverseEvent, chance: random.Random) -> AdverseEvent:
    """One word in twenty has a letter exchanged, and at least one has."""
    words = (report.narrative or "").split(" ")
    forced = chance.randrange(len(words))
    for number, word in enumerate(words):
        if word and (number == forced or chance.random() < 0.05):
            at = chance.randrange(len(word))
            words[number] = word[:at] + chance.choice(string.ascii_lowercase) + word[at + 1 :]
    return replace(report, narrative=" ".join(words) or None)


def without_age(report: AdverseEvent, _: random.Random) -> AdverseEvent:
    """The age is not known."""
    return replace(report, patient=replace(report.patient, age_years=None))


def shifted(report: AdverseEvent, chance: random.Random) -> AdverseEvent:
    """Exposure and onset are wrong by the same few days."""
    days = timedelta(chance.choice([-1, 1]) * chance.randint(1, 7))

    def moved(day: date | None) -> date | None:
        return None if day is None else day + days

    return replace(report, exposure_date=moved(report.exposure_date), onset_date=moved(report.onset_date))


def retold(narrative: str | None, chance: random.Random) -> str | None:
    """Half of the words, in another order: no three of them stand together as before."""
    words = (narrative or "").split()
    return " ".join(chance.sample(words, len(words) // 2)) or None


def on_copies(copies: Sequence[Copy], found: Sequence[Listing]) -> str:
    """Recall by change: by the keys alone, and with the suspects at each rate."""
    root = roots((merge.case_id, merge.of_case) for merge in found[0].merges)
    scored = [{frozenset((root(x.case_id), root(x.of_case))) for x in listing.suspects} for listing in found]
    rates = "".join(f" recall with the score at {rate:g} |" for rate in RATES)
    rows = [f"| what was changed | copies | recall of the keys |{rates}", "|---|--:|--:|" + "--:|" * len(RATES)]
    for change in [*dict.fromkeys(copy.change for copy in copies), None]:
        ends = [(root(copy.report.case_id), root(copy.of)) for copy in copies if change in (None, copy.change)]
        keys = sum(one == other for one, other in ends)
        besides = [sum(one != other and frozenset((one, other)) in pairs for one, other in ends) for pairs in scored]
        shares = "".join(f" {(keys + more) / len(ends):.1%} |" for more in besides)
        rows.append(f"| {change or '**all**'} | {len(ends):,} | {keys / len(ends):.1%} |{shares}")
    return "## Copies that are found\n\n" + "\n".join(rows)


def roots(joined: Iterable[tuple[str, str]]) -> Callable[[str], str]:
    """The case that stands for all those that a case is joined with, over any number of others."""
    parent: dict[str, str] = {}

    def root(case: str) -> str:
        while case in parent:
            case = parent[case]
        return case

    for one, other in joined:
        if (a := root(one)) != (b := root(other)):
            parent[a] = b
    return root


def precision(copies: Sequence[Copy], found: Sequence[Listing]) -> str:
    """Of what involves a copy, how much joins two reports that are not of one case."""
    origin = {copy.report.case_id: copy.of for copy in copies}

    def told(kind: str, joined: Iterable[tuple[str, str]]) -> str:
        involved = [pair for pair in joined if origin.keys() & {*pair}]
        right = sum(len({origin.get(case, case) for case in pair}) == 1 for pair in involved)
        share = f"{right:,} join it with its original ({right / len(involved):.1%})"
        return f"- {kind}: {len(involved):,} involve a copy, {share}"

    lines = [told("merges", ((merge.case_id, merge.of_case) for merge in found[0].merges))]
    lines += [told(f"suspects at {x.false_per_report:g}", ((s.case_id, s.of_case) for s in x.suspects)) for x in found]
    return (
        "Precision. What joins a copy with a third report counts as wrong, though some of these are duplicates.\n\n"
        + ("\n".join(lines))
    )


def on_real(natural: Sequence[Listing], facts: dict[str, tuple[float | None, str]]) -> str:
    """What is merged and suspected of the reports as they are, and how many suspects must be wrong."""
    by = Counter(" + ".join(merge.keys) for merge in natural[0].merges)
    keys = ", ".join(f"{number:,} by {key}" for key, number in by.most_common())
    outcomes = [Counter(sexes(x.case_id, x.of_case, facts) for x in listing.suspects) for listing in natural]
    rows = [
        f"Merged: {keys}. {natural[0].counted:,} count, {natural[0].compared:,} pairs of them share a blocking key.",
        "",
        "| suspects |" + "".join(f" at {rate:g} |" for rate in RATES),
        "|---|" + "--:|" * len(RATES),
        "| bits against strangers |" + "".join(f" {listing.least[0]:.1f} |" for listing in natural),
        "| bits against neighbours |" + "".join(f" {listing.least[1]:.1f} |" for listing in natural),
        "| **all** |" + "".join(f" {len(listing.suspects):,} |" for listing in natural),
    ]
    rows += [f"| {kind} |" + "".join(f" {count[kind]:,} |" for count in outcomes) for kind in sorted(outcomes[-1])]
    return (
        "## What is found on the real reports\n\n"
        + "\n".join(rows)
        + "\n\nWrong suspects are of another sex as often as "
        "of the same, or rarer: twice those of another sex is a guess at how many are wrong."
    )


def aged(reports: Iterable[AdverseEvent]) -> dict[str, tuple[float | None, str]]:
    """Age and sex by case id."""
    return {report.case_id: (report.patient.age_years, report.patient.sex) for report in reports}


def sexes(one: str, other: str, facts: dict[str, tuple[float | None, str]]) -> str:
    """How age and sex of two reports compare."""
    (age, sex), (age_too, sex_too) = facts[one], facts[other]
    ages = "age unknown" if age is None or age_too is None else "same age" if abs(age - age_too) <= 1 else "another age"
    known = "sex unknown" if "U" in (sex, sex_too) else "same sex" if sex == sex_too else "another sex"
    return f"{ages}, {known}"


def impossible(reports: Sequence[AdverseEvent]) -> str:
    """The rate of false suspects where there can be no true one: reports of 1990-94 beside those of 1996-2000.

    The former are moved 312 weeks on, so that both lie in the same years, on the same days of the week and in the same
    seasons. No two of different times are one case, and those of the same time are not looked at.
    """
    moved = timedelta(weeks=312)
    old, new = [], []
    for report in reports:
        received = report.received_at
        assert isinstance(received, int)
        year = datetime.fromtimestamp(received / 1000, UTC).year
        if year <= 1994:
            dates = {
                name: day and day + moved
                for name, day in (("exposure_date", report.exposure_date), ("onset_date", report.onset_date))
            }
            old.append(
                replace(report, case_id=f"old-{report.case_id}", received_at=received + moved.days * DAY_MS, **dates)
            )
        elif year >= 1996:
            new.append(report)
    found = listed(sorted([*old, *new], key=lambda report: (report.received_at, report.case_id)))

    def across(listing: Listing) -> int:
        return sum(x.case_id.startswith("old-") != x.of_case.startswith("old-") for x in listing.suspects)

    merged = sum(x.case_id.startswith("old-") != x.of_case.startswith("old-") for x in found[0].merges)
    lines = [
        f"- suspects at {listing.false_per_report:g}: {across(listing):,} join reports of both times, "
        f"{across(listing) / listing.counted:.5f} a report"
        for listing in found
    ]
    return (
        f"## What is found where nothing can be\n\n{len(old):,} reports of 1990-94, moved 312 weeks on, among "
        f"{len(new):,} of 1996-2000. By key {merged:,} were merged.\n\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    main()
