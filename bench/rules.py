"""`python -m bench.rules`: the two levels beside the rules in use, on VAERS 1990-2000 and on permutations of it."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean

from bench.classical import RULES, Alert, Classical
from bench.page import commit, machine, write_section
from bench.throughput import today
from bench.vaers import MONITOR, PAIR, WINDOW, day, spooled
from streams.budget.spool import read_buckets
from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.permute import permuted
from streams.detect.rule import rule_of
from streams.detect.totals import BucketTotals, pair_scores
from streams.signals.rule import AlarmRule

PAGE = "signals.md"
RULE = rule_of(MONITOR)
LEVELS = {"early, A = 5": ("early", RULE), "strong, A = 5": ("strong", RULE)}
SENSITIVE = "early, A = 200"
MORE = replace(RULE, false_alarms_per_year=200.0)
NAMES = (*LEVELS, SENSITIVE, *RULES)


@dataclass
class Found:
    """Of one rule in one run: all its alerts, and those that are new: never before, and not of a listed pair, a term
    that is no reaction, or a bystander."""

    alerts: list[Alert] = field(default_factory=list)
    new: list[Alert] = field(default_factory=list)

    def first(self) -> Alert | None:
        """The first alert of the known pair."""
        return next((alert for alert in self.alerts if alert[1:3] == PAIR), None)

    def in_window(self) -> list[Alert]:
        """New alerts between licence and suspension, the known pair left out."""
        return [a for a in self.new if WINDOW[0] <= day(a[0]) <= WINDOW[1] and a[1:3] != PAIR]


class Judged:
    """A detector that keeps each pair's cases in memory, for the status `bystander`."""

    def __init__(self, rule: AlarmRule) -> None:
        self._detector = Detector.restore(rule).fork()  # fits no prior: it decides nothing
        self._cases: dict[tuple[str, str], list[tuple[int, tuple[str, ...]]]] = defaultdict(list)

    def close(self, bucket: int, cases: Sequence[Contribution]) -> Iterator[tuple[str, Alert, bool]]:
        """(level that fired, alert, whether it is new) of each alarm."""
        for case in cases:
            for drug, event, _ in pair_scores(case):
                self._cases[drug, event].append((bucket, case.drugs))
        evaluation = self._detector.evaluate(BucketTotals.of(bucket, cases))
        since = bucket - self._detector.rule.bystander
        recent = {pair: [d for b, d in self._cases[pair] if b > since] for pair in evaluation.pairs}
        verdict = self._detector.judge(evaluation, recent)
        self._detector.advance(self._detector.delta(evaluation, verdict))
        for alarm in verdict.alarms:
            yield alarm.fired, (bucket, alarm.drug, alarm.event, round(alarm.cases)), alarm.status == "new"


def run(path: Path, seed: int | None) -> dict[str, Found]:
    """Every rule over the spooled reports, permuted by `seed`; None: as they are."""
    found = {name: Found() for name in NAMES}
    levels, more, classical = Judged(RULE), Judged(MORE), Classical()
    for bucket, real in read_buckets(path):
        cases = real if seed is None else permuted(bucket, real, seed)
        for level, alert, new in levels.close(bucket, cases):
            _keep(found[f"{level}, A = 5"], alert, new)
        for level, alert, new in more.close(bucket, cases):
            if level == "early":
                _keep(found[SENSITIVE], alert, new)
        classical.close(bucket, cases)
    for rule in RULES:
        found[rule] = Found(classical.alerts[rule], classical.alerts[rule])
    return found


def _keep(found: Found, alert: Alert, new: bool) -> None:
    found.alerts.append(alert)
    if new:
        found.new.append(alert)


def table(real: dict[str, Found], null: Sequence[dict[str, Found]], years: float) -> str:
    """The page's table."""
    head = (
        "| rule | RV x Intussusception (cases) | other new pairs in the window (of them RV) | new pairs / year "
        "| alerts / year | null: new pairs / year | null: alerts / year |\n|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(_row(name, real[name], [found[name] for found in null], years) for name in NAMES)


def _row(name: str, real: Found, null: Sequence[Found], years: float) -> str:
    first, others = real.first(), real.in_window()
    when = "never" if first is None else f"{day(first[0])} ({first[3]})"
    figures = [len(real.new) / years, len(real.alerts) / years]
    figures += [fmean(len(x) for x in found) / years for found in ([n.new for n in null], [n.alerts for n in null])]
    numbers = " | ".join(f"{figure:.2f}" if figure < 10 else f"{figure:.0f}" for figure in figures)
    return f"| {name} | {when} | {len(others)} ({sum(a[1] == PAIR[0] for a in others)}) | {numbers} |\n"


def main(arguments: Iterable[str] | None = None) -> None:
    """Write the section of docs/results/signals.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--permutations", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(None if arguments is None else list(arguments))
    with spooled() as path:
        buckets = [bucket for bucket, _ in read_buckets(path)]
        years = (buckets[-1] - buckets[0] - RULE.burn_in + 1) / 365.25
        with ProcessPoolExecutor(options.workers) as pool:
            real, *null = pool.map(partial(run, path), [None, *range(options.permutations)])
    text = (
        f"VAERS 1990-2000, {years:.1f} years after the burn-in, coded terms, age strata, duplicates left out; null: "
        f"the mean of {options.permutations} permutations of event lists within day and age group. The window is "
        f"{WINDOW[0]} to {WINDOW[1]}, licence to suspension. A rule without levels alerts once for a pair; early and "
        f'strong may alert again, and their "new" leaves out bystanders and terms that are no reaction.\n\n'
        f"{today()}, commit {commit()}, {machine()}.\n\n{table(real, null, years)}"
    )
    print(text)
    write_section(PAGE, "python -m bench.rules", "## Rules side by side on VAERS", text)


if __name__ == "__main__":
    main()
