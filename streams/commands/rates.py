"""`vigilia rates`: how often a drug, or a drug with an event, is reported now."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click
import msgspec

from streams.alerts.record import start_of
from streams.commands.options import json_option, monitor_option, prepare, store_settings, store_url
from streams.commands.output import print_table, printable, write_json
from streams.errors import ConfigurationError
from streams.monitors import Monitor, load_monitor
from streams.rates import WINDOWS, Estimate, Rate, RateReader, Rates
from streams.state.store import Store

__all__ = ["command"]


@click.command("rates", short_help="Show how often a drug or a drug-event pair is reported.")
@click.argument("drug")
@click.argument("event", required=False)
@monitor_option
@click.option("--window", "windows", type=click.Choice(WINDOWS), multiple=True, help="Only this window; repeatable.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Windows that end with this day, not with the newest.")
@json_option
def command(
    drug: str, event: str | None, monitor: str, windows: tuple[str, ...], until: datetime | None, as_json: bool
) -> None:
    """Show how often a drug or a drug-event pair is reported.

    Windows are whole buckets that end with the last closed one: a day, 7 days, 30, 182, and the monitor's reference
    window. Cases are those that count (no duplicates); of an event read in text, sums of probabilities. "open" is what
    the buckets hold that are not closed yet, and may still change. Intervals are 95%. "relative" is cases / expected,
    what is expected being the cases if drug and event were independent within strata.

    \b
    Examples:
      vigilia rates RV --monitor vaers
      vigilia rates RV Intussusception --monitor vaers --window month --window 6months --json
    """
    settings, watched = prepare(), load_monitor(monitor)
    store = Store.connect(store_url(settings), store_settings(watched))
    try:
        reader = RateReader(store, watched)
        drugs, events = reader.names()
        drug = _known(drug, drugs, "drug")
        event = None if event is None else _known(event, events, "event")
        last = None if until is None else _bucket(until, watched)
        rates = reader.read(drug, event, windows=windows or WINDOWS, last=last)
    finally:
        store.close()
    if as_json:
        write_json(_with_dates(rates, watched))
    else:
        _print(rates, watched)


def _bucket(until: datetime, monitor: Monitor) -> int:
    """The last bucket that begins on this day."""
    end_of_day = int(until.replace(tzinfo=UTC).timestamp() * 1000) + 86_400_000 - 1
    return end_of_day // monitor.bucket_ms


def _known(name: str, names: Sequence[str], what: str) -> str:
    """The name as the log has it: itself, or the only one that differs by case alone."""
    same = [known for known in names if known.casefold() == name.casefold()]
    if name in names or len(same) == 1:
        return name if name in names else same[0]
    close = same or difflib.get_close_matches(name, names, 5, 0.7)
    advice = f"did you mean {', '.join(map(printable, close))}?" if close else f"{len(names):,} are known"
    raise ConfigurationError(f"no {what} {printable(name)} in any closed bucket; {advice}")


def _with_dates(rates: Rates, monitor: Monitor) -> dict[str, object]:
    def dated(rate: Rate) -> dict[str, object]:
        since, until = (start_of(bucket, monitor.bucket_ms) for bucket in (rate.first, rate.last))
        return {**msgspec.to_builtins(rate), "since": since, "until": until}

    opened = None if rates.open is None else dated(rates.open)
    return {**msgspec.to_builtins(rates), "windows": [dated(rate) for rate in rates.windows], "open": opened}


def _print(rates: Rates, monitor: Monitor) -> None:
    pair = f" x {printable(rates.event)}" if rates.event is not None else ""
    click.echo(f"{printable(rates.drug)}{pair}, monitor {rates.monitor}")
    columns = ["window", "since", "until", ">days", ">reports", ">with drug", ">share"]
    columns += [">a day", ">from", ">to"]
    if rates.event is not None:
        columns += [">with event", ">both", ">expected", ">relative", ">from", ">to"]
    shown = [*rates.windows, *([rates.open] if rates.open else [])]
    print_table(columns, [list(_row(rate, monitor)) for rate in shown])


def _row(rate: Rate, monitor: Monitor) -> Iterator[object]:
    since, until = (start_of(bucket, monitor.bucket_ms) for bucket in (rate.first, rate.last))
    share = "" if rate.share is None else f"{rate.share:.2%}"
    yield from (rate.window, since, until, f"{rate.days:g}", f"{rate.reports:,}", f"{rate.drug_cases:,}", share)
    per_day = rate.per_day if rate.pair is None else rate.pair.per_day
    yield from _shown(per_day)
    if rate.pair is not None:
        yield from (f"{rate.pair.event_cases:,.5g}", f"{rate.pair.cases:,.5g}", f"{rate.pair.expected:.3g}")
        yield from _shown(rate.pair.relative)


def _shown(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return ("", "", "")
    return (f"{estimate.value:.3g}", f"{estimate.low:.3g}", f"{estimate.high:.3g}")
