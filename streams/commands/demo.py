"""`vigilia demo`: a generated year of reports and notes, from the topics to the alerts."""

from __future__ import annotations

import time
from datetime import date
from typing import TYPE_CHECKING

import click

from streams.commands.options import json_option, terminable
from streams.commands.output import console, printable, write_json
from streams.demo.generator import DEFAULT_SEED

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from streams.demo.session import DemoSession
    from streams.demo.story import Story
    from streams.events import Alert
    from streams.worker.bounded import Progress

__all__ = ["command"]


@click.command("demo")
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Of the generated year.")
@json_option
def command(seed: int, as_json: bool) -> int:
    """Watch a generated year of reports go through.

    Starts a small Kafka broker, a Redis and the classifier inside this command, sends a made-up year of adverse-event
    reports and clinical notes, and shows the alerts as they are raised. In the middle of the year one drug begins to
    cause one event: the summary says when that was noticed, and counts everything else beside what is true. Nothing
    is left behind.

    \b
    Example:
      vigilia demo --seed 7
    """
    from streams.demo.session import demo_session
    from streams.logs import configure_logging
    from streams.settings import load_settings

    configure_logging("error")
    begun = time.monotonic()
    with terminable(), demo_session(load_settings(), seed) as session:
        if not as_json:
            _introduce(session)
        shown = _Shown(session, as_json=as_json)
        started = time.monotonic()
        progress = shown.run()
        seconds = time.monotonic() - started
    summary = _summary(session.story, progress, shown.alerts, seconds, time.monotonic() - begun)
    if as_json:
        write_json(summary)
    else:
        _print(summary)
    return 0


class _Shown:
    """Runs the year and shows its alerts as they come."""

    def __init__(self, session: DemoSession, *, as_json: bool) -> None:
        self.session = session
        self.alerts: list[Alert] = []
        self._after: int | None = None
        self._quiet = as_json

    def run(self) -> Progress:
        """Run to the end; the alerts are in `alerts` then."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        from streams.state.session import StoreSettings
        from streams.state.store import Store

        redis_url = self.session.settings.redis_url
        assert redis_url is not None
        store = Store.connect(redis_url.get_secret_value(), StoreSettings.of(self.session.monitor))
        screen = console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bar(*columns, console=screen, transient=True, disable=self._quiet or not screen.is_terminal) as bar:
            task = bar.add_task("starting", total=None)

            def show(progress: Progress) -> None:
                self._update(bar, task, progress)
                self._take(store)

            result = self.session.run(show)
        self._take(store)
        store.close()
        return result

    def _update(self, bar: Bar, task: TaskID, progress: Progress) -> None:
        from streams.alerts.record import start_of

        day = "reading" if progress.closed is None else start_of(progress.closed, self.session.monitor.bucket_ms)
        bar.update(task, total=progress.messages, completed=progress.applied, description=day)

    def _take(self, store: Store) -> None:  # type: ignore[name-defined]  # noqa: F821
        from streams.events import decode_alert

        for bucket, records in store.history(self._after):
            self._after = bucket
            for alert in map(decode_alert, records):
                self.alerts.append(alert)
                if not self._quiet:
                    click.echo(_line(alert, self.session.monitor.bucket_ms))


def _line(alert: Alert, width_ms: int) -> str:
    from streams.alerts.record import start_of

    what = "ALERT " if alert.state == "raised" else "update"
    why = alert.status if alert.decided == alert.bucket else "follow-up of a case"
    pair = f"{printable(alert.drug)} x {printable(alert.event)}"
    expected = f"{alert.cases} cases, {alert.table.expected:.1f} expected"
    return f"  {start_of(alert.bucket, width_ms)}  {what}  {pair:<38} {expected:<26} {why}"


def _introduce(session: DemoSession) -> None:
    story = session.story
    click.echo(
        f"A made-up year, {story.first} to {story.last} (seed {story.seed}): "
        f"{story.topics['adverse-events']:,} reports and {story.topics['clinical-notes']:,} notes on two topics.\n"
        f"From {story.onset} on, {story.drug} causes {story.event}. vigilia is not told.\n"
    )


def _summary(story: Story, progress: Progress, alerts: list[Alert], seconds: float, whole: float) -> dict[str, object]:
    outcomes = progress.counters
    dead = {name.removeprefix("dead_letter:"): n for name, n in outcomes.items() if name.startswith("dead_letter:")}
    planted = [alert for alert in alerts if (alert.drug, alert.event) == (story.drug, story.event)]
    first = min(planted, key=lambda alert: alert.bucket, default=None)
    others = [alert for alert in alerts if alert not in planted and alert.state == "raised"]
    counted, late, duplicates = (outcomes.get(name, 0) for name in ("counted", "late", "duplicate"))
    return {
        "messages": progress.messages,
        "assessed": counted + late + duplicates,
        "counted": counted + late,
        "late": late,
        "duplicates": duplicates,
        "dead_letters": dead,
        "alerts": len(alerts),
        "truth": {
            "messages": story.messages,
            "counted": story.counted,
            "late": story.late,
            "duplicates": story.duplicates.total(),
            "dead_letters": dict(story.broken),
        },
        "planted": {
            "drug": story.drug,
            "event": story.event,
            "onset": story.onset.isoformat(),
            "alert": first.raised_at if first else None,
            "days": (date.fromisoformat(first.raised_at) - story.onset).days if first else None,
            "cases": first.cases if first else None,
            "expected": first.table.expected if first else None,
        },
        "others": [
            {"drug": a.drug, "event": a.event, "raised_at": a.raised_at, "status": a.status, "cases": a.cases}
            for a in others
        ],
        "seconds": round(seconds, 1),
        "seconds_with_start": round(whole, 1),
    }


def _print(summary: dict[str, object]) -> None:
    truth, planted = summary["truth"], summary["planted"]
    assert isinstance(truth, dict)
    assert isinstance(planted, dict)
    dead = summary["dead_letters"]
    assert isinstance(dead, dict)
    rows = [
        ("messages in", summary["messages"], truth["messages"]),
        ("assessed", summary["assessed"], truth["messages"] - sum(truth["dead_letters"].values())),
        ("counted", summary["counted"], truth["counted"]),
        ("  of them late", summary["late"], truth["late"]),
        ("duplicates", summary["duplicates"], truth["duplicates"]),
        ("dead letters", sum(dead.values()), sum(truth["dead_letters"].values())),
    ]
    click.echo("\n                       vigilia     truth")
    for name, found, true in rows:
        click.echo(f"  {name:<18} {found:>9,} {true:>9,}")
    click.echo("  dead letters by reason: " + ", ".join(f"{n} {reason}" for reason, n in sorted(dead.items())))
    _print_planted(planted)
    click.echo(f"Alerts and updates: {summary['alerts']}")
    others = summary["others"]
    assert isinstance(others, list)
    named = ", ".join(f"{printable(o['drug'])} x {printable(o['event'])} ({o['status']})" for o in others)
    click.echo(f"Other pairs alerted: {len(others)}" + (f": {named}" if others else ""))
    click.echo(f"{summary['seconds']} s for the year, {summary['seconds_with_start']} s with starting and loading.")


def _print_planted(planted: dict[str, object]) -> None:
    pair = f"{planted['drug']} x {planted['event']}"
    if planted["alert"] is None:
        click.echo(f"\nThe planted signal {pair} (from {planted['onset']}) was not noticed.")
    else:
        click.echo(
            f"\nPlanted: {pair} from {planted['onset']}. Alert on {planted['alert']}, {planted['days']} days later, "
            f"with {planted['cases']} cases where {planted['expected']:.1f} were expected."
        )
