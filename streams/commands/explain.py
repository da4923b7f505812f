"""`vigilia explain`: what an alert rests on, and whether the log agrees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click
import msgspec

from streams.audit.log import AssessmentLog
from streams.audit.recount import recount
from streams.audit.rules import recounted
from streams.audit.tables import Tables, differ
from streams.commands.finding import find_alert
from streams.commands.options import json_option, prepare
from streams.commands.output import print_table, printable, progress, write_json
from streams.events import Alert, EvidenceCase
from streams.monitors import load_monitor
from streams.settings import Settings

__all__ = ["command"]

MEASURES = {  # the rule's own first, then the usual ones beside it
    "recent_cases": "cases in the last six months (the rule's S)",
    "recent_expected": "expected in the last six months (the rule's E)",
    "recent_days": "days with a case in the last six months",
    "own_past_ratio": "ratio of the pair's own past (lambda)",
    "effect_bound": "least effect that the last six months support (5% quantile)",
    "early_statistic": "statistic of the level early",
    "strong_statistic": "statistic of the level strong",
    "prr": "PRR, 95% interval on the log scale",
    "ror": "ROR, 95% interval after Woolf",
    "ror_fisher": "ROR, conditional, Fisher's exact 95% interval",
    "chi2": "chi-squared",
    "chi2_yates": "chi-squared with Yates' correction",
    "rrr": "observed over expected within strata, exact 95% interval",
    "ic": "IC, 95% interval by gamma quantiles",
    "ic_noren": "IC, Noren's approximate 95% interval",
    "ebgm": "EBGM, 90% interval (DuMouchel's gamma-Poisson shrinker)",
}
INTERVALS = {
    "prr": ("prr_lower", "prr_upper"),
    "ror": ("ror_lower", "ror_upper"),
    "ror_fisher": ("ror_fisher_lower", "ror_fisher_upper"),
    "rrr": ("rrr_lower", "rrr_upper"),
    "ic": ("ic025", "ic975"),
    "ic_noren": ("ic025_noren", "ic975_noren"),
    "ebgm": ("eb05", "eb95"),
}
ORDER = {name: place for place, name in enumerate(MEASURES)}
SHOWN = 20


class Verdict(msgspec.Struct):
    """What the recount of the assessments log says of an alert's table and cases."""

    agrees: bool
    recounted: dict[str, float]
    differences: list[str]


@click.command("explain", short_help="Show what an alert rests on.")
@click.argument("alert_id")
@click.option("--verify", is_flag=True, help="Recount table and cases from the assessments log; exit 1 if they differ.")
@click.option("-m", "--monitor", metavar="FILE|NAME", help="With --verify: the monitor, unless it is a shipped one.")
@click.option("--cases", default=SHOWN, show_default=True, type=click.IntRange(0), help="How many cases to show.")
@json_option
def command(alert_id: str, verify: bool, monitor: str | None, cases: int, as_json: bool) -> int:
    """Show what an alert rests on.

    ALERT_ID is an id that `vigilia alerts` shows, or its beginning if no other alert's begins so. Shown are the newest
    revision's table and measures over the reference window, the statistic and its threshold, the cases with the topic,
    partition and offset of their messages, and the versions that produced it.

    \b
    Examples:
      vigilia explain 0f3a2c
      vigilia explain 0f3a2c --verify --monitor vaers --json
    """
    settings = prepare()
    alert = find_alert(settings, alert_id)
    verdict = _verify(settings, alert, monitor or alert.monitor) if verify else None
    if as_json:
        write_json({"alert": alert, **({"verification": verdict} if verdict else {})})
    else:
        _print(alert, cases)
        if verdict is not None:
            _print_verdict(verdict)
    return 1 if verdict is not None and not verdict.agrees else 0


# ------------------------------------------------------------------ the recount


def _verify(settings: Settings, alert: Alert, monitor_name: str) -> Verdict:
    monitor = load_monitor(monitor_name)
    with AssessmentLog(settings, monitor) as log:
        found = recount(progress(log.records(), "recounting", lambda: len(log)), monitor)
    pair = recounted(alert, Tables(found, monitor), monitor)
    table = msgspec.structs.asdict(pair.table)
    return Verdict(not (differences := list(differ(alert, pair))), table, differences)


# ------------------------------------------------------------------ for people


def _print(alert: Alert, cases: int) -> None:
    click.echo(f"{printable(alert.drug)} x {printable(alert.event)}")
    click.echo(f"  alert      {alert.id}, {alert.kind} of monitor {printable(alert.monitor)}")
    click.echo(
        f"  state      {alert.state}, level {alert.level}, status {alert.status}; first raised {alert.raised_at}"
    )
    click.echo(f"  statistic  {alert.statistic:.6g}, alarm at {alert.threshold:.6g} and above")
    if alert.kind != "signal":
        click.echo("  budget     none: a rule beside the signal makes no promise of false alarms")
    for name, value in alert.detail.items():
        click.echo(f"  {name:<10} {printable(value)}")
    click.echo(f"  cases      {alert.cases} in the reference window, {alert.table.expected:.4g} expected within strata")
    if alert.windows:
        counts = ", ".join(f"{number:,} in the {name.replace('_', ' ')}" for name, number in alert.windows.items())
        click.echo(f"  of them    {counts} (trailing windows)")
    click.echo()
    table = alert.table
    rows = [
        ("with the drug", f"{table.a:.6g}", f"{table.b:.6g}"),
        ("without it", f"{table.c:.6g}", f"{table.d:.6g}"),
    ]
    print_table(("", ">with the event", ">without it"), rows)
    click.echo()
    print_table(("measure", ">value", ">from", ">to"), list(_measures(alert)))
    click.echo()
    print_table(("case", "version", "received", "topic/partition/offset", ">p", "late", "drug words", "effect words"),
                [_case(case) for case in alert.evidence[:cases]])  # fmt: skip
    more = max(0, len(alert.evidence) - cases)
    if more or alert.evidence_omitted:
        named = (
            f"--cases {len(alert.evidence)} or --json shows {more} of them" if more else "the alert does not name them"
        )
        click.echo(f"and {more + alert.evidence_omitted} older cases; {named}")
    versions = alert.versions
    click.echo()
    if versions.rules is not None:
        click.echo(f"  rules file {versions.rules}")
    click.echo(f"  rule {versions.rule}, model {versions.model or 'none'}, schema {versions.schema}")
    click.echo(f"  settings {versions.monitor}, vocabulary {versions.vocabulary}, history {alert.chain or 'none'}")


def _measures(alert: Alert) -> Iterator[tuple[str, str, str, str]]:
    bounds = {name for pair in INTERVALS.values() for name in pair}
    for name, value in sorted(alert.measures.items(), key=lambda item: ORDER.get(item[0], len(ORDER))):
        if name in bounds:
            continue
        low, high = INTERVALS.get(name, ("", ""))
        shown = (_number(alert.measures.get(bound)) if bound else "" for bound in (low, high))
        yield (MEASURES.get(name, name), _number(value), *shown)  # type: ignore[misc]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _case(case: EvidenceCase) -> tuple[object, ...]:
    received = datetime.fromtimestamp(case.received_at / 1000, UTC)
    where = f"{case.topic}/{case.partition}/{case.offset}"
    words = (case.span.drug, case.span.effect) if case.span else ("", "")
    late = "late" if case.late else ""
    return (case.case_id, case.version, f"{received:%Y-%m-%d %H:%M}", where, f"{case.probability:.3g}", late, *words)


def _print_verdict(verdict: Verdict) -> None:
    click.echo()
    if verdict.agrees:
        click.echo("verified: the assessments log, recounted, gives the same table and cases")
        return
    click.echo("NOT verified: the assessments log, recounted, gives something else")
    for difference in verdict.differences:
        click.echo(f"  {printable(difference)}")
