"""`vigilia history`: proof that neither the alerts nor what people said of them was changed afterwards."""

from __future__ import annotations

import click

from streams.alerts.record import start_of
from streams.audit.alert_history import AlertHistory, prove, read_history
from streams.commands.finding import newest_alerts
from streams.commands.options import json_option, prepare, store_settings, store_url
from streams.commands.output import printable, write_json
from streams.monitors import Monitor, load_monitor
from streams.reviews import History, Reviews
from streams.settings import Settings
from streams.state.store import Store

__all__ = ["command"]

SHOWN = 20  # further faults printed for people


@click.group("history", short_help="Prove that alerts and reviews were not changed afterwards.")
def command() -> None:
    """Prove that alerts and reviews were not changed afterwards.

    \b
    Example:
      vigilia history verify --monitor vaers
    """


@command.command("verify", short_help="Follow the chains of hashes and name the first entry that breaks one.")
@click.option("-m", "--monitor", metavar="FILE|NAME", help="Prove the history of this monitor's alerts too.")
@click.option("--head", "heads", multiple=True, metavar="HASH", help="A head noted earlier, which must be in a chain.")
@json_option
def verify(monitor: str | None, heads: tuple[str, ...], as_json: bool) -> int:
    """Follow the chains of hashes and name the first entry that breaks one. The exit status is then 1.

    Reviews: each entry of the topic is what its name says, and holds the name of the one before it. Alerts: every
    raised or updated revision that Redis holds, in order of bucket and id, with all its content, and the newest
    revision of each on the alerts topic. An end that was cut off shows only beside a head that was noted before: give
    it with --head.

    \b
    Examples:
      vigilia history verify
      vigilia history verify --monitor vaers --head 5f0c...
    """
    settings = prepare()
    with Reviews(settings) as reviews:
        said = reviews.history
    watched = None if monitor is None else load_monitor(monitor)
    found, hashes = (None, set[str]()) if watched is None else _alerts(settings, watched)
    lacking = [head for head in heads if head not in said and head not in hashes]
    whole = not (said.faults or lacking or (found is not None and found.fault))
    if as_json:
        write_json({"whole": whole, "reviews": _as_json(said), "alerts": found, "heads_missing": lacking})
    else:
        _print_reviews(said)
        if found is not None and watched is not None:
            _print_alerts(found, watched)
        for head in lacking:
            click.echo(f"NOT whole: the head {printable(head)} is in no chain that was read")
    return 0 if whole else 1


def _alerts(settings: Settings, monitor: Monitor) -> tuple[AlertHistory, set[str]]:
    store = Store.connect(store_url(settings), store_settings(monitor))
    try:
        published = newest_alerts(settings, state=("raised", "updated"), monitor=monitor.title)
        closed, head, closes = read_history(store)
    finally:
        store.close()
    return prove(monitor.name, closed, head, closes, published)


def _as_json(said: History) -> dict[str, object]:
    faults = [fault._asdict() for fault in said.faults]
    return {"entries": said.number, "void": len(said.void), "head": said.head or None, "faults": faults}


def _print_reviews(said: History) -> None:
    alerts = list(said.alerts())
    people = {reviewed.entry.who for _, review in alerts for reviewed in review.entries}
    entries = sum(len(review.entries) for _, review in alerts)
    void = f", {len(said.void)} that came second at its place" if said.void else ""
    click.echo(f"reviews: {entries:,} entries on {len(alerts):,} alerts by {len(people):,} people{void}")
    click.echo(f"  head {said.head or 'none'}")
    if not said.faults:
        click.echo("  whole")
    for i, fault in enumerate(said.faults[: SHOWN + 1]):
        number = "" if fault.number is None else f"entry {fault.number}, "
        place = "NOT whole: first broken is" if i == 0 else "then"
        click.echo(f"  {place} {number}at offset {fault.offset}: {fault.what}")


def _print_alerts(found: AlertHistory, monitor: Monitor) -> None:
    until = "no bucket is closed yet" if found.closed is None else f"up to {start_of(found.closed, monitor.bucket_ms)}"
    click.echo(f"alerts of {found.monitor}: {found.revisions:,} revisions in {found.closes:,} closes, {until}")
    ahead = f", {found.ahead:,} of buckets that Redis has not closed" if found.ahead else ""
    click.echo(f"  {found.published:,} published alerts are in it{ahead}")
    click.echo(f"  head {found.head or 'none'}")
    click.echo(f"  NOT whole: first broken is {found.fault}" if found.fault else "  whole")
