"""`vigilia alerts`: the alerts topic, once or as it grows."""

from __future__ import annotations

import asyncio

import click
import msgspec

from streams.commands.options import json_option, prepare
from streams.commands.output import print_table, printable, write_json
from streams.commands.review import summary
from streams.events import Alert
from streams.reviews import Review, Reviews
from streams.settings import Settings
from streams.subscribers import AlertStream

__all__ = ["command"]

STATES = ("provisional", "raised", "updated", "withdrawn")
COLUMNS = ("raised", "state", "level", "status", "review", "drug", "event", ">cases", ">expected", ">statistic", "id")


@click.command("alerts", short_help="Show the alerts, or follow them as they come.")
@click.option("-f", "--follow", is_flag=True, help="Stay and show each revision as it is published.")
@click.option("--new", "new_only", is_flag=True, help="With --follow: only what is published from now on.")
@click.option("--group", metavar="NAME", help="Go on where this consumer group stopped; members share the work.")
@click.option("--drug", help="Only this drug.")
@click.option("--event", help="Only this event.")
@click.option("--level", type=click.Choice(["early", "strong"]), help="Only this level.")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only this state; may be repeated.")
@click.option("--monitor", metavar="NAME", help="Only alerts of the monitor of this name.")
@click.option("--skip-unreadable", is_flag=True, help="Log records that are no alerts instead of stopping at them.")
@json_option
def command(
    follow: bool,
    new_only: bool,
    group: str | None,
    drug: str | None,
    event: str | None,
    level: str | None,
    states: tuple[str, ...],
    monitor: str | None,
    skip_unreadable: bool,
    as_json: bool,
) -> None:
    """Show the alerts, or follow them as they come.

    Without --follow: the newest revision of each alert, in order of time. "review" is what people have said of it, and
    how many cases came since. With --json one alert a line, as published, and its `review` beside.

    \b
    Examples:
      vigilia alerts --state raised --state updated
      vigilia alerts --follow --group safety-desk --drug RV --json
    """
    if new_only and not follow:
        raise click.UsageError("--new goes with --follow")
    settings = prepare()
    stream = AlertStream(
        settings,
        group=group,
        from_start=not new_only,
        follow=follow,
        drug=drug,
        event=event,
        level=level,  # type: ignore[arg-type]
        state=states or None,
        monitor=monitor,
        unreadable="skip" if skip_unreadable else "raise",
    )
    asyncio.run(_show(settings, stream, follow=follow, as_json=as_json))


async def _show(settings: Settings, stream: AlertStream, *, follow: bool, as_json: bool) -> None:
    rows = []
    with Reviews(settings) as reviews:
        async with stream:
            async for alert in stream:
                if follow:
                    reviews.refresh()
                review = reviews.of(alert)
                if as_json:
                    write_json({**msgspec.to_builtins(alert), "review": summary(review, alert.cases)})
                elif follow:
                    click.echo("  ".join(_in_a_line(alert, review)))
                else:
                    rows.append(_row(alert, review))
    if as_json:
        return
    if rows:
        print_table(COLUMNS, rows)
    else:
        click.echo("no alerts", err=True)


def _row(alert: Alert, review: Review) -> tuple[object, ...]:
    return (
        alert.raised_at,
        alert.state,
        alert.level,
        alert.status,
        _said(alert, review),
        alert.drug,
        alert.event,
        alert.cases,
        f"{alert.table.expected:.3g}",
        f"{alert.statistic:.4g}",
        alert.id,
    )


def _said(alert: Alert, review: Review) -> str:
    since = review.grown(alert.cases)
    return f"{review.status} +{since}" if since else review.status


def _in_a_line(alert: Alert, review: Review) -> tuple[str, ...]:
    cases = f"{alert.cases} cases, {alert.table.expected:.3g} expected"
    pair = f"{printable(alert.drug)} x {printable(alert.event)}"
    states = (f"{alert.state:<11}", f"{alert.level:<6}", f"{alert.status:<12}", f"{_said(alert, review):<10}")
    return (alert.raised_at, *states, pair, cases, alert.id)
