"""`python -m bench.budget` (`make budget`): does the false-alarm budget hold where nothing is true?

VAERS 1990-2000 with events exchanged within day and age group; the same with 5% of the reports sent twice; and a
simulated year of 2,000 pairs, with and without repeats. Duplicates are left out as the worker does it. Takes
about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import msgspec

from bench import simulated
from bench.page import commit, machine, write_section
from bench.throughput import today
from bench.vaers import FOLDER, MONITOR, spooled
from streams.assess.assessor import stratum_of
from streams.budget.check import rehearse, rehearse_all
from streams.budget.reading import assessed, fill
from streams.budget.spool import Spool
from streams.commands.files import messages
from streams.detect.permute import Alarms
from streams.detect.rule import rule_of
from streams.events import AdverseEvent, Level
from streams.monitors import Monitor

DAY_MS = 86_400_000
REPEATED = 0.05
LEVELS: tuple[Level, ...] = ("early", "strong")


def vaers_with_repeats(seed: int) -> Iterator[AdverseEvent]:
    """VAERS with events exchanged within day and age group, and 5% of the reports again under another case id."""
    found = messages("vaers", (str(FOLDER),), datetime(1990, 1, 1), datetime(2000, 12, 31), Counter())
    reports = (report for report in found if isinstance(report, AdverseEvent))
    draw = random.Random(seed)
    for _, group in groupby(reports, key=lambda report: report.received_at):
        strata: dict[int, list[AdverseEvent]] = defaultdict(list)
        for report in group:
            strata[stratum_of(report.patient.age_years, MONITOR.strata_years)].append(report)
        for here in strata.values():
            events = [report.events for report in here]
            draw.shuffle(events)
            for report, drawn in zip(here, events, strict=True):
                permuted = msgspec.structs.replace(report, events=drawn)
                yield permuted
                if draw.random() < REPEATED:
                    yield msgspec.structs.replace(permuted, case_id=f"again-{report.case_id}")


def simulated_year(seed: int, *, repeated: float) -> Iterator[AdverseEvent]:
    """A year after a burn-in of 100 days."""
    return simulated.reports(465, seed=seed, repeated=repeated)


def null_run(reports: Callable[[int], Iterable[AdverseEvent]], monitor: Monitor, seed: int) -> tuple[Alarms, int]:
    """The alarms on a log in which nothing is true, and how many of its cases count."""
    with TemporaryDirectory(prefix="vigilia-") as folder:
        path = Path(folder) / "cases.sqlite"
        with closing(Spool(path)) as spool:
            counted = fill(spool, assessed(reports(seed), monitor), monitor)
        return rehearse(rule_of(monitor), path, None), counted


def row(name: str, runs: Sequence[Alarms], monitor: Monitor, cases: float) -> str:
    """A line of the table for each level."""
    years = runs[0].years(monitor.bucket_ms)
    lines = ""
    for level in LEVELS:
        rates = [len(run.raised[level]) / years for run in runs]
        budget = monitor.alarms.false_alarms_per_year
        verdict = "yes" if fmean(rates) <= budget else "no"
        lines += (
            f"| {name} | {cases:,.0f} | {level} | {len(runs)} x {years:.1f} | {budget:g} | {fmean(rates):.2f} "
            f"| {min(rates):.2f} to {max(rates):.2f} | {verdict} |\n"
        )
    return lines


def main() -> None:
    """Write docs/results/budget.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5, help="permutations of VAERS with repeated reports")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    lines = (
        "| log | cases | level | runs x years | budget a year | false alarms a year | least to most | within it |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    with ProcessPoolExecutor(options.workers) as pool:
        for name, repeated in (("simulated, 2,000 pairs", 0.0), ("simulated, 5% sent twice", REPEATED)):
            once = partial(null_run, partial(simulated_year, repeated=repeated), simulated.MONITOR)
            found = list(pool.map(once, range(options.permutations)))
            lines += row(name, [run for run, _ in found], simulated.MONITOR, fmean(n for _, n in found))
            print(lines, flush=True)
        found = list(pool.map(partial(null_run, vaers_with_repeats, MONITOR), range(options.repeats)))
        lines += row("VAERS permuted, 5% sent twice", [r for r, _ in found], MONITOR, fmean(n for _, n in found))
        print(lines, flush=True)
    with spooled() as path:
        seeds = range(options.permutations)
        runs = list(rehearse_all(rule_of(MONITOR), path, seeds, workers=options.workers))
    lines += row("VAERS permuted", runs, MONITOR, 109_798)
    text = (
        "Logs in which no drug has anything to do with any event, so every alarm is false; duplicates left out as the "
        "worker does it. VAERS 1990-2000 (66,600 pairs) with events exchanged within day and age group; a simulated "
        "year whose drugs and events both follow age, with another event in the news each month "
        "(`bench/simulated.py`).\n\n"
        f"{today()}, commit {commit()}, {machine()}.\n\n{lines}"
    )
    write_section("budget.md", "python -m bench.budget", "# The false-alarm budget", text)


if __name__ == "__main__":
    main()
