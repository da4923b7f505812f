"""`vigilia review`: what people say of alerts, with who, when and why."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from streams.commands.finding import find_alert, newest_alerts
from streams.commands.options import json_option, prepare
from streams.commands.output import print_table, printable, write_json
from streams.errors import ConfigurationError
from streams.events import Alert
from streams.reviews import Review, Reviews
from streams.reviews.entry import MOST_CHARACTERS, Action
from streams.settings import Settings

__all__ = ["command"]

STATUSES = ("unreviewed", "validated", "refuted", "closed")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_WHY = "Why; `-` reads it from stdin. It is kept for ever: name no patient."
_why_option: Decorator = click.option("--why", default="", metavar="TEXT|-", help=_WHY)
_by_option: Decorator = click.option("--by", metavar="NAME", help="Who says so: VIGILIA_REVIEWER, else your user.")


@click.group("review", short_help="Validate, refute, close, comment on and assign alerts.")
def command() -> None:
    """Validate, refute, close, comment on and assign alerts.

    What people say of an alert is kept on the topic `reviews`, beside the log of cases: no count and no alert depends
    on it. Entries are only ever added; `vigilia history verify` proves that none was changed or taken out. ALERT is an
    id that `vigilia alerts` shows, or its beginning if no other alert's begins so.

    \b
    Examples:
      vigilia review list --status unreviewed
      vigilia review assign 0f3a2c anna
      vigilia review validate 0f3a2c --why "five cases within a week of the dose, none with another cause"
      vigilia review show 0f3a2c
    """


def _decision(name: Action, short_help: str, text: str) -> None:
    @command.command(name, short_help=short_help, help=text)
    @click.argument("alert")
    @_why_option
    @_by_option
    def decide(alert: str, why: str, by: str | None) -> None:
        _add(name, alert, why, by)


_decision(
    "validate",
    "There is enough to look further.",
    "There is enough to look further: a new possible causal association, or a new aspect of a known one (in GVP module "
    "IX: a validated signal). Also reopens what was refuted or closed.",
)
_decision(
    "refute",
    "There is no sufficient reason, at this point in time.",
    "The documentation gives no sufficient reason to look further, or a closer look has shown that no causal "
    "association can be established, at this point in time.",
)
_decision("close", "Its evaluation is completed.", "Its evaluation is completed; say with which outcome.")
_decision("comment", "Add a remark.", "Add a remark. It changes no status.")


@command.command("assign", short_help="Give it to somebody to look at.")
@click.argument("alert")
@click.argument("name", required=False, default="")
@_why_option
@_by_option
def assign(alert: str, name: str, why: str, by: str | None) -> None:
    """Give an alert to NAME to look at; without NAME, take it back."""
    _add("assign", alert, why, by, name)


def _add(action: Action, alert_id: str, why: str, by: str | None, assignee: str = "") -> None:
    settings = prepare()
    if why == "-":
        why = click.get_text_stream("stdin").read().strip()
    if len(why) > MOST_CHARACTERS:
        raise ConfigurationError(f"--why has {len(why):,} characters; at most {MOST_CHARACTERS:,} are kept")
    who = by or settings.reviewer or getpass.getuser()
    if not 0 < len(who) <= 200 or len(assignee) > 200:
        raise ConfigurationError("a name has 1 to 200 characters")
    alert = find_alert(settings, alert_id)
    with Reviews(settings) as reviews:
        entry = reviews.add(alert, action, who=who, why=why, assignee=assignee)
        review = reviews.of(alert)
    status = f"{review.status}, assigned to {printable(review.assignee)}" if review.assignee else review.status
    click.echo(f"{alert.id} {printable(alert.drug)} x {printable(alert.event)}: {status}")
    click.echo(f"  entry {entry.entry.number}, {entry.name}")


# ------------------------------------------------------------------ reading


@command.command("list", short_help="List alerts with what was said of them.")
@click.option("--status", type=click.Choice(STATUSES), multiple=True, help="Only this status; may be repeated.")
@click.option("--assigned", metavar="NAME", help="Only what is assigned to NAME.")
@click.option("--grown", is_flag=True, help="Only what has gained cases since it was decided.")
@click.option("--monitor", metavar="NAME", help="Only alerts of the monitor of this name.")
@json_option
def listed(status: tuple[str, ...], assigned: str | None, grown: bool, monitor: str | None, as_json: bool) -> None:
    """List raised alerts with what was said of them.

    "since" is how many cases came after the last decision. With --json one alert a line: its id, drug, event, review.
    """
    settings = prepare()
    rows = []
    with Reviews(settings) as reviews:
        _warn(reviews)
        for alert in newest_alerts(settings, state=("raised", "updated"), monitor=monitor):
            review = reviews.of(alert)
            if (
                (not status or review.status in status)
                and (assigned is None or review.assignee == assigned)
                and (not grown or review.grown(alert.cases))
            ):
                rows.append((alert, review))
    if as_json:
        for alert, review in rows:
            names = {"alert": alert.id, "monitor": alert.monitor, "drug": alert.drug, "event": alert.event}
            write_json({**names, "cases": alert.cases, "review": summary(review, alert.cases)})
    elif rows:
        columns = ("raised", "status", "assigned", "drug", "event", ">cases", ">since", "by", "alert")
        print_table(columns, [_row(*row) for row in rows])
    else:
        click.echo("no alerts", err=True)


@command.command("show", short_help="Show all that was said of an alert.")
@click.argument("alert")
@json_option
def show(alert: str, as_json: bool) -> None:
    """Show all that was said of an alert, oldest first.

    With --json one entry a line as it stands on the topic, its name beside it.
    """
    settings = prepare()
    with Reviews(settings) as reviews:
        _warn(reviews)
        alert_id = _reviewed_id(settings, reviews, alert)
        review = reviews.history.of(alert_id)
    if as_json:
        for reviewed in review.entries:
            write_json({**msgspec.to_builtins(reviewed.entry), "name": reviewed.name})
        return
    assigned = f", assigned to {printable(review.assignee)}" if review.assignee else ""
    click.echo(f"{alert_id}: {review.status}{assigned}")
    for reviewed in review.entries:
        entry = reviewed.entry
        to = f" to {printable(entry.assignee or 'nobody')}" if entry.action == "assign" else ""
        said = f"{entry.action}{to}, at {entry.cases} cases"
        click.echo(f"\n{entry.number}  {_time(entry.at)}  {printable(entry.who)}  {said}")
        for line in entry.why.splitlines():
            click.echo(f"   {printable(line)}")


def summary(review: Review, cases: int) -> dict[str, object]:
    """A review as it stands beside an alert of so many cases, for programs."""
    last = review.decided
    return {
        "status": review.status,
        "assignee": review.assignee or None,
        "by": last.who if last else None,
        "at": last.at if last else None,
        "cases_since": review.grown(cases),
        "entries": len(review.entries),
    }


def _reviewed_id(settings: Settings, reviews: Reviews, beginning: str) -> str:
    """An alert's id; of one that has gone from the alerts topic too."""
    known = [alert for alert, _ in reviews.history.alerts() if alert.startswith(beginning)]
    return known[0] if len(known) == 1 else find_alert(settings, beginning).id


def _warn(reviews: Reviews) -> None:
    if reviews.history.faults:
        click.echo("the review history is not whole: run `vigilia history verify`", err=True)


def _row(alert: Alert, review: Review) -> tuple[object, ...]:
    last, since = review.decided, review.grown(alert.cases)
    by = f"{last.who} {_time(last.at)}" if last else ""
    more = f"+{since}" if since else ""
    return (alert.raised_at, review.status, review.assignee, alert.drug, alert.event, alert.cases, more, by, alert.id)


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M}"
