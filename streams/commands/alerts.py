"""`vigilia alerts`: the alerts topic, once or as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import click
import msgspec

from streams.commands.options import json_option, prepare
from streams.commands.output import print_table, printable, write_json
from streams.commands.review import summary
from streams.events import Alert
from streams.reviews import Review, Reviews
from streams.settings import Settings
from streams.signals.ranking import Rank, ranked
from streams.subscribers import AlertStream

__all__ = ["command"]

STATES = ("provisional", "raised", "updated", "withdrawn")
NUMBERS = (">cases", ">expected", ">statistic")
COLUMNS = ("raised", "state", "kind", "level", "status", "review", "drug", "event", *NUMBERS, "id")
TERMS = (">strength", ">novelty", ">serious", ">recent", ">complete", ">text")
RANKED = (">rank", *TERMS, "kind", "status", "review", "drug", "event", ">cases", "id")


@click.command("alerts", short_help="Show the alerts, or follow them as they come.")
@click.option("-f", "--follow", is_flag=True, help="Stay and show each revision as it is published.")
@click.option("--new", "new_only", is_flag=True, help="With --follow: only what is published from now on.")
@click.option("--group", metavar="NAME", help="Go on where this consumer group stopped; members share the work.")
@click.option("--drug", help="Only this drug.")
@click.option("--event", help="Only this event.")
@click.option("--kind", help="Only this kind: signal, or the name of a rule.")
@click.option("--level", type=click.Choice(["early", "strong", "rule"]), help="Only this level.")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only this state; may be repeated.")
@click.option("--monitor", metavar="NAME", help="Only alerts of the monitor of this name.")
@click.option("--stream", "stream_name", metavar="NAME", help="Only this alert stream, whichever monitor reports it.")
@click.option("--rank", is_flag=True, help="In order of rank, with the terms of each score.")
@click.option("--all", "everything", is_flag=True, help="With what was refuted or closed and has hardly grown since.")
@click.option("--skip-unreadable", is_flag=True, help="Log records that are no alerts instead of stopping at them.")
@json_option
def command(
    follow: bool,
    new_only: bool,
    group: str | None,
    drug: str | None,
    event: str | None,
    kind: str | None,
    level: str | None,
    states: tuple[str, ...],
    monitor: str | None,
    stream_name: str | None,
    rank: bool,
    everything: bool,
    skip_unreadable: bool,
    as_json: bool,
) -> None:
    """Show the alerts, or follow them as they come.

    Without --follow: the newest revision of each alert, in order of time. "review" is what people have said of it, and
    how many cases came since; an alert that was refuted or closed is left out until its cases have doubled
    (VIGILIA_DISMISSED_GROWTH). With --json one alert a line, as published, and its `review` beside, with --rank its
    `rank` too.

    \b
    Examples:
      vigilia alerts --state raised --state updated --rank
      vigilia alerts --follow --group safety-desk --drug RV --json
    """
    if new_only and not follow:
        raise click.UsageError("--new goes with --follow")
    if rank and follow:
        raise click.UsageError("--rank orders what is there: it does not go with --follow")
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
        stream=stream_name,
        unreadable="skip" if skip_unreadable else "raise",
    )
    found = _reviewed(settings, stream, follow=follow, kind=kind, everything=everything)
    if follow:
        asyncio.run(_follow(found, as_json=as_json))
    else:
        _show(asyncio.run(_all(found)), rank=rank, as_json=as_json)


async def _reviewed(
    settings: Settings, stream: AlertStream, *, follow: bool, kind: str | None, everything: bool
) -> AsyncIterator[tuple[Alert, Review]]:
    """The alerts wanted, each with what people have said of it."""
    quiet = 0
    with Reviews(settings) as reviews:
        async with stream:
            async for alert in stream:
                if follow:
                    reviews.refresh()
                review = reviews.of(alert)
                if kind is not None and alert.kind != kind:
                    continue
                if review.is_quiet(alert.cases, settings.dismissed_growth) and not everything:
                    quiet += 1
                else:
                    yield alert, review
    if quiet:
        click.echo(f"{quiet} refuted or closed and hardly grown since: --all shows them", err=True)


async def _follow(found: AsyncIterator[tuple[Alert, Review]], *, as_json: bool) -> None:
    async for alert, review in found:
        if as_json:
            write_json(_as_json(alert, review))
        else:
            click.echo("  ".join(_in_a_line(alert, review)))


async def _all(found: AsyncIterator[tuple[Alert, Review]]) -> list[tuple[Alert, Review]]:
    return [pair async for pair in found]


def _show(found: list[tuple[Alert, Review]], *, rank: bool, as_json: bool) -> None:
    ranks = {alert.id: ranked(alert) for alert, _ in found} if rank else {}
    if rank:
        found = sorted(found, key=lambda pair: (-ranks[pair[0].id].score, pair[0].id))
    if as_json:
        for alert, review in found:
            write_json(_as_json(alert, review) | ({"rank": ranks[alert.id]._asdict()} if rank else {}))
    elif not found:
        click.echo("no alerts", err=True)
    elif rank:
        print_table(RANKED, [_ranked_row(alert, review, ranks[alert.id]) for alert, review in found])
    else:
        print_table(COLUMNS, [_row(alert, review) for alert, review in found])


def _as_json(alert: Alert, review: Review) -> dict[str, object]:
    return {**msgspec.to_builtins(alert), "review": summary(review, alert.cases)}


def _ranked_row(alert: Alert, review: Review, rank: Rank) -> tuple[object, ...]:
    terms = [f"{value:.2f}" for value in rank.terms.values()]
    what = (alert.kind, alert.status, _said(alert, review), alert.drug, alert.event, alert.cases)
    return (f"{rank.score:.3f}", *terms, *what, alert.id)


def _row(alert: Alert, review: Review) -> tuple[object, ...]:
    return (
        alert.raised_at,
        alert.state,
        alert.kind,
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
    states = (
        f"{alert.state:<11}",
        f"{alert.kind:<6}",
        f"{alert.level:<6}",
        f"{alert.status:<12}",
        f"{_said(alert, review):<10}",
    )
    return (alert.raised_at, *states, pair, cases, alert.id)
