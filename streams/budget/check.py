"""False alarms per year of each level on permutations of a log, beside the budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev

from streams.budget.spool import read_buckets
from streams.detect.permute import Alarms, Rehearsal, permuted
from streams.events import Level
from streams.signals.rule import AlarmRule

__all__ = ["Rate", "Result", "rehearse", "rehearse_all", "result_of"]


@dataclass(frozen=True)
class Rate:
    """Alarms a year of a level over all permutations: mean, its standard error (None for one), least and most.

    `pairs`: pairs that alarmed at all, a year · `as_it_is`: alarms a year on the log itself, true and false.
    """

    level: Level
    budget: float
    mean: float
    error: float | None
    least: float
    most: float
    pairs: float
    as_it_is: float

    @property
    def holds(self) -> bool:
        """Whether the mean is within the budget."""
        return self.mean <= self.budget


@dataclass(frozen=True)
class Result:
    """`years`, `buckets`: after the burn-in · `buckets_per_year`: as measured, and as the settings say."""

    permutations: int
    years: float
    buckets: int
    buckets_per_year: float
    buckets_per_year_set: float
    rates: list[Rate]


def rehearse(rule: AlarmRule, path: Path, seed: int | None) -> Alarms:
    """The alarms on the spooled log, permuted by `seed`; None: as it is."""
    run = Rehearsal(rule)
    for bucket, cases in read_buckets(path):
        run.close(bucket, cases if seed is None else permuted(bucket, cases, seed))
    return run.alarms


def rehearse_all(rule: AlarmRule, path: Path, seeds: Sequence[int | None], *, workers: int = 1) -> Iterator[Alarms]:
    """`rehearse` for each seed, in their order; one log at a time is read by each of `workers` processes."""
    once = partial(rehearse, rule, path)
    if workers == 1:
        yield from map(once, seeds)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(once, seeds)


def result_of(rule: AlarmRule, as_it_is: Alarms, runs: Sequence[Alarms]) -> Result | None:
    """The rates; None if nothing was closed after the burn-in."""
    years = as_it_is.years(rule.bucket_ms)
    if not years or not runs:
        return None
    return Result(
        permutations=len(runs),
        years=years,
        buckets=as_it_is.buckets,
        buckets_per_year=as_it_is.buckets / years,
        buckets_per_year_set=rule.buckets_per_year,
        rates=[_rate(level, rule, as_it_is, runs, years) for level in ("early", "strong")],
    )


def _rate(level: Level, rule: AlarmRule, as_it_is: Alarms, runs: Sequence[Alarms], years: float) -> Rate:
    rates = [len(run.raised[level]) / years for run in runs]
    return Rate(
        level=level,
        budget=rule.false_alarms_per_year,
        mean=fmean(rates),
        error=stdev(rates) / len(rates) ** 0.5 if len(rates) > 1 else None,
        least=min(rates),
        most=max(rates),
        pairs=fmean(run.pairs(level) / years for run in runs),
        as_it_is=len(as_it_is.raised[level]) / years,
    )
