"""`vigilia budget-check`: the alarm rule on permutations of one's own log."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from streams.audit.log import AssessmentLog
from streams.budget.check import Rate, Result, rehearse_all, result_of
from streams.budget.reading import assessed, fill
from streams.budget.spool import Spool
from streams.commands.files import day_options, messages
from streams.commands.options import json_option, prepare
from streams.commands.output import print_table, progress, write_json
from streams.detect.permute import Alarms
from streams.detect.rule import rule_of
from streams.errors import ConfigurationError
from streams.events import AssessmentRecord
from streams.monitors import Monitor, load_monitor

__all__ = ["command"]

COLUMNS = ("level", ">budget", ">false alarms/year", ">least", ">most", ">pairs/year", ">as it is/year", "")


@click.command("budget-check", short_help="Count false alarms on permutations of a log.")
@click.argument("format_", metavar="[FORMAT]", type=click.Choice(["vaers", "json"]), required=False)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@day_options
@click.option("-m", "--monitor", metavar="FILE|NAME", help="Monitor whose rule is run; default for vaers: vaers.")
@click.option("--permutations", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@json_option
def command(
    format_: str | None,
    paths: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    monitor: str | None,
    permutations: int,
    workers: int,
    as_json: bool,
) -> int:
    """Run the alarm rule on permutations of a log, and say how many alarms a year it raises where nothing is true.

    Takes the monitor's assessments topic, or with FORMAT (`vaers`, `json`) files of reports. In each permutation the
    event lists are exchanged at random between the cases of a bucket and stratum, so drugs, events, seasons, ages and
    rising numbers stay as they are and no drug has anything to do with any event. "pairs" are the pairs that alarmed at
    all; "as it is" is the log unpermuted.

    The exit status is 1 if level strong raises more than alarms.false_alarms_per_year. The log is read once into a
    temporary file, then a bucket at a time.

    \b
    Examples:
      vigilia budget-check --monitor vaers
      vigilia budget-check vaers DIR --to 2000-12-31 --permutations 5 --workers 2
    """
    if bool(format_) != bool(paths):
        raise click.UsageError("give a FORMAT and files, or neither: then the monitor's assessments topic is read")
    if format_ != "vaers" and (start or end):
        raise click.UsageError("--from and --to go with vaers")
    if monitor is None and format_ != "vaers":
        raise click.UsageError("say whose rule to run: --monitor")
    watched = load_monitor(monitor or "vaers")
    rule = rule_of(watched)
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigilia-"))) / "cases.sqlite"
        if format_ is None:
            log = stack.enter_context(AssessmentLog(prepare(), watched))
            records: Iterable[AssessmentRecord] = (record for _, _, record in log.records())
        else:
            records = assessed(messages(format_, paths, start, end, Counter()), watched)
        counted = _spooled(path, progress(records, "reading", lambda: 0), watched)
        seeds = [None, *range(permutations)]
        runs = rehearse_all(rule, path, seeds, workers=workers)
        as_it_is, *permuted = _followed(runs, len(seeds))
    result = result_of(rule, as_it_is, permuted)
    if result is None:
        raise ConfigurationError(f"{counted:,} cases, none of them after the burn-in of {rule.burn_in} buckets")
    if as_json:
        write_json({"cases": counted, **asdict(result), "holds": _strong(result).holds})
    else:
        _print(result, counted)
    return 0 if _strong(result).holds else 1


def _spooled(path: Path, records: Iterable[AssessmentRecord], monitor: Monitor) -> int:
    with closing(Spool(path)) as spool:
        return fill(spool, records, monitor)


def _followed(runs: Iterator[Alarms], number: int) -> Iterator[Alarms]:
    return progress(runs, "permutations", lambda: number)


def _strong(result: Result) -> Rate:
    return next(rate for rate in result.rates if rate.level == "strong")


def _print(result: Result, counted: int) -> None:
    click.echo(
        f"{counted:,} cases; {result.permutations} permutations of {result.years:.1f} years after the burn-in "
        f"({result.buckets:,} buckets, {result.buckets_per_year:.0f} a year; "
        f"alarms.buckets_per_year is {result.buckets_per_year_set:g})"
    )
    rows = [
        (
            rate.level,
            f"{rate.budget:g}",
            f"{rate.mean:.2f}" + ("" if rate.error is None else f" +- {rate.error:.2f}"),
            f"{rate.least:.2f}",
            f"{rate.most:.2f}",
            f"{rate.pairs:.2f}",
            f"{rate.as_it_is:.2f}",
            _said_of(rate),
        )
        for rate in result.rates
    ]
    print_table(COLUMNS, rows)


def _said_of(rate: Rate) -> str:
    if rate.holds:
        return "within the budget"
    return "OVER THE BUDGET" if rate.level == "strong" else "over the nominal rate, which early does not promise"
