"""`vigilia diff`: two monitors on the same source topics, two replays, or two assessments logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from streams.commands.options import json_option, prepare, store_settings, store_url
from streams.commands.output import print_table, printable, progress, write_json
from streams.diff.alerts import AlertsDiff, compare_alerts
from streams.diff.assessments import AssessmentsDiff, compare_assessments
from streams.diff.pairing import Pairing, side_by_side
from streams.errors import ConfigurationError, SchemaMismatch
from streams.events import Alert, decode_alert
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings
from streams.state.store import Store

__all__ = ["command"]

LOG = ".assessments"
FILE = ".jsonl"
NEVER = -(1 << 53)  # a bucket before all others: nothing is closed


@dataclass(frozen=True)
class Side:
    """One of the two: a monitor, the alerts of a replay, or an assessments topic."""

    name: str
    monitor: Monitor | None = None
    file: Path | None = None
    log: str | None = None

    @classmethod
    def of(cls, name: str) -> Side:
        """What `name` stands for. Raises ConfigurationError."""
        if name.endswith(FILE):
            return cls(name, file=Path(name))
        if name.endswith(LOG):
            return cls(name, log=name)
        monitor = load_monitor(name)
        return cls(name, monitor=monitor, log=monitor.assessments_topic)

    @property
    def has_alerts(self) -> bool:
        """Whether there are alerts to compare."""
        return self.log is None or self.monitor is not None

    def closed(self, settings: Settings) -> int | None:
        """The last closed bucket; None for a file, which holds all there will be."""
        if self.monitor is None:
            return None
        with closing(_store(settings, self.monitor)) as store:
            closed = store.base().closed
            return NEVER if closed is None else closed

    def alerts(self, settings: Settings) -> Iterator[Alert]:
        """Every raised or updated revision."""
        if self.file is not None:
            yield from _read(self.file)
        elif self.monitor is not None:
            with closing(_store(settings, self.monitor)) as store:
                for _, records in store.history():
                    yield from map(decode_alert, records)


def _store(settings: Settings, monitor: Monitor) -> Store:
    return Store.connect(store_url(settings), store_settings(monitor))


@click.command("diff", short_help="Show how two monitors, replays or assessments logs differ.")
@click.argument("a")
@click.argument("b")
@click.option("--top", default=20, show_default=True, type=click.IntRange(0, 10_000), help="Lines of each table.")
@click.option("--tolerance", default=0.0, show_default=True, type=click.FloatRange(0, 1),
              help="Probabilities this close are the same.")  # fmt: skip
@json_option
def command(a: str, b: str, top: int, tolerance: float, as_json: bool) -> int:
    """Show how two monitors, replays or assessments logs differ.

    A and B are each a monitor (file or name), a file that `vigilia replay --out` wrote (`*.jsonl`), or an assessments
    topic (`*.assessments`). Two logs must be of the same source topics. Compared are assessments (monitors and topics)
    message by message, as far as both have got, and raised alerts (monitors and files) up to the last bucket that both
    have closed. A running worker may go on meanwhile. Messages are named by topic, partition and offset; nothing that a
    text says is shown.

    Exit status: 0 the same, 1 they differ, 2 there is nothing that both have.

    \b
    Examples:
      vigilia diff live live-2
      vigilia diff old.jsonl new.jsonl --json
    """
    settings, sides = prepare(), (Side.of(a), Side.of(b))
    assessments = alerts = None
    if all(side.has_alerts for side in sides):
        alerts = _compare_alerts(settings, *sides)
    if sides[0].log is not None and sides[1].log is not None:
        pairings: Iterable[Pairing] = side_by_side(settings, sides[0].log, sides[1].log)
        pairings = progress(pairings, "comparing", lambda: None)
        assessments = compare_assessments(pairings, top=top, tolerance=tolerance)
    if alerts is None and assessments is None:
        raise ConfigurationError(f"{a} has no assessments or {b} no alerts to compare: name two of a kind")
    if as_json:
        write_json({"a": a, "b": b, "assessments": assessments, "alerts": alerts})
    else:
        if assessments is not None:
            _print_assessments(assessments)
        if alerts is not None:
            _print_alerts(alerts, top)
    return 1 if any(part is not None and part.differs for part in (assessments, alerts)) else 0


def _compare_alerts(settings: Settings, a: Side, b: Side) -> AlertsDiff:
    """What closes meanwhile is left out on both sides."""
    ends = [closed for side in (a, b) if (closed := side.closed(settings)) is not None]
    return compare_alerts(a.alerts(settings), b.alerts(settings), min(ends, default=None))


def _read(path: Path) -> Iterator[Alert]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield decode_alert(line)
                except msgspec.DecodeError as error:
                    raise SchemaMismatch(f"{path}, line {number}: holds no alert ({type(error).__name__})") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None


# ------------------------------------------------------------------ for people


def _print_assessments(found: AssessmentsDiff) -> None:
    differ = found.messages - found.same
    click.echo(f"{found.messages:,} messages in both logs: {found.same:,} the same, {differ:,} differ")
    if found.waiting_a or found.waiting_b:
        click.echo(f"  only one has got to: {found.waiting_b:,} (A), {found.waiting_a:,} (B); not compared")
    for what, counts in (
        ("models in A", found.models_a), ("models in B", found.models_b), ("outcome", found.outcomes),
        ("pairs", found.pairs), ("probabilities moved by", found.moves), ("other fields", found.fields),
    ):  # fmt: skip
        if counts:
            click.echo(f"  {what}: " + ", ".join(f"{number:,} {printable(name)}" for name, number in counts.items()))
    for title, names in (("drug", found.drugs), ("event", found.events)):
        if names:
            click.echo()
            rows = [(name.name, name.gained, name.lost, name.changed) for name in names]
            print_table((title, ">only in B", ">only in A", ">changed"), rows)
    if found.moved:
        click.echo()
        moved = [(f"{m.topic}/{m.partition}/{m.offset}", m.drug, m.event, _p(m.a), _p(m.b)) for m in found.moved]
        print_table(("moved most", "drug", "event", ">p in A", ">p in B"), moved)


def _p(probability: float | None) -> str:
    return "none" if probability is None else f"{probability:.4f}"


def _print_alerts(found: AlertsDiff, top: int) -> None:
    counts = (len(found.only_a), len(found.only_b), len(found.changed))
    until = "" if found.until in (None, NEVER) else f" up to bucket {found.until}"
    click.echo(f"alerts{until}: {found.same:,} the same, {counts[0]:,} only in A, {counts[1]:,} only in B, "
               f"{counts[2]:,} changed")  # fmt: skip
    rows = [
        (where, alert.drug, alert.event, alert.kind, f"raised {alert.raised_at}, {alert.level}, {alert.cases} cases")
        for where, alerts in (("only in A", found.only_a), ("only in B", found.only_b))
        for alert in alerts[:top]
    ]
    rows += [
        ("changed", alert.drug, alert.event, alert.kind,
         ", ".join(f"{name} {a} -> {b}" for name, (a, b) in alert.fields.items()))
        for alert in found.changed[:top]
    ]  # fmt: skip
    if rows:
        click.echo()
        print_table(("alerts", "drug", "event", "kind", "A -> B"), rows)
