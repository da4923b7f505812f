"""`vigilia replay`: a monitor over past reports, in a namespace of its own, with an end."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import SecretStr

from streams.commands.files import day_options, messages
from streams.commands.options import json_option, prepare, terminable
from streams.commands.output import console, write_json
from streams.errors import ConfigurationError, TransportError
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from streams.events import Alert, SourceMessage
    from streams.worker.bounded import Progress

__all__ = ["command"]


@click.command("replay")
@click.argument("format_", metavar="FORMAT", type=click.Choice(["vaers", "json", "topic"]))
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@day_options
@click.option("-m", "--monitor", metavar="FILE|NAME", help="Monitor to replay; default for vaers: vaers.")
@click.option(
    "--evidence", type=click.Choice(["coded", "text", "both", "narrative"]), help="Instead of the monitor's setting."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File for the alerts, a JSON line each.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--batch", type=click.IntRange(1, 10_000), help="Messages applied at a time.")
@click.option("--keep", is_flag=True, help="Keep the replay's topics and state, to look into them; prints their name.")
@json_option
def command(
    format_: str,
    paths: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    monitor: str | None,
    evidence: str | None,
    out: Path | None,
    workers: int,
    batch: int | None,
    keep: bool,
    as_json: bool,
) -> int:
    """Run a monitor over past reports in a namespace of its own.

    FORMAT is `vaers` or `json` (files, loaded into topics that only this replay sees) or `topic` (the monitor's own
    source topics, as far as they reach now). Needs a Kafka; without VIGILIA_REDIS_URL it brings its own Redis. Every
    raised or updated alert becomes a line of --out, in order of (bucket, id); two replays of the same reports write the
    same bytes, whatever --workers and --batch are. (Reports without received_at count at the time of loading: those do
    not repeat.)

    \b
    Example:
      vigilia replay vaers DIR --from 1990-01-01 --to 1999-12-31 --out alerts.jsonl
    """
    if (format_ == "topic") == bool(paths):
        raise click.UsageError("`topic` takes no files, `vaers` and `json` need some")
    if format_ != "vaers" and (start or end):
        raise click.UsageError("--from and --to go with vaers")
    if keep and load_settings().redis_url is None:
        raise click.UsageError("--keep needs a Redis that stays: set VIGILIA_REDIS_URL")
    if monitor is None and format_ != "vaers":
        raise click.UsageError("say which monitor to replay: --monitor")
    if out is not None and not out.parent.is_dir():
        raise click.UsageError(f"--out: there is no folder {out.parent}")
    overrides = {"evidence": evidence} if evidence else {}
    original = load_monitor(monitor or "vaers", **overrides)
    if format_ != "topic" and len(original.sources) != 1:
        raise ConfigurationError("files can be replayed by a monitor with one source topic; this one has several")
    settings = prepare()
    with ExitStack() as stack:
        stack.enter_context(terminable())
        settings = _with_redis(settings, stack)
        replay, settings = _namespace(original, settings, own_sources=format_ != "topic", batch=batch)
        problems: Counter[str] = Counter()
        stack.enter_context(_removed(replay, settings, keep=keep))
        _prepare_topics(replay, settings)
        if format_ != "topic":
            _load(messages(format_, paths, start, end, problems), replay, settings)
        progress = _run(replay, settings, workers)
        alerts = _alerts(replay, settings)
        if out is not None:
            out.write_bytes(b"".join(line + b"\n" for line in alerts))
    _report(replay, progress, alerts, problems, out, as_json=as_json, kept=replay.name if keep else None)
    return 0


def _with_redis(settings: Settings, stack: ExitStack) -> Settings:
    if settings.redis_url is not None:
        return settings
    from streams.state.server import RedisServer

    server = stack.enter_context(RedisServer())
    return settings.model_copy(update={"redis_url": SecretStr(server.url)})


def _namespace(
    original: Monitor, settings: Settings, *, own_sources: bool, batch: int | None
) -> tuple[Monitor, Settings]:
    """The replay's monitor and settings: names that nobody else uses, and an alerts topic that nobody is woken by."""
    name = f"replay-{secrets.token_hex(6)}"
    monitor = original.replayed_as(name, source_prefix=f"{name}." if own_sources else "")
    changed: dict[str, object] = {"alerts_topic": f"{name}.alerts", "create_topics": True}
    if "log_level" not in settings.model_fields_set:
        changed["log_level"] = "warning"  # of the workers: a replay tells its story in a progress bar
    if batch is not None:
        changed["batch_messages"] = batch
    return monitor, settings.model_copy(update=changed)


@contextmanager
def _removed(monitor: Monitor, settings: Settings, *, keep: bool) -> Iterator[None]:
    from streams.worker.bounded import remove_namespace

    try:
        yield
    finally:
        if not keep:
            remove_namespace(monitor, settings)


def _prepare_topics(monitor: Monitor, settings: Settings) -> None:
    from streams.transport import ensure_topics, required_topics

    ensure_topics(settings, required_topics(monitor, settings))


def _load(content: Iterator[bytes | SourceMessage], monitor: Monitor, settings: Settings) -> None:
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    from streams.intake.loader import LoadSummary, load

    screen = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("loading: {task.completed:,.0f} reports"), TimeElapsedColumn())
    with Bar(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("load", total=None)

        def show(summary: LoadSummary) -> None:
            bar.update(task, completed=summary.delivered)

        summary = load(content, monitor.on_broker(monitor.topics[0]), settings, show)
    if not summary.complete:
        failed = ", ".join(f"{n} {name}" for name, n in sorted(summary.failed.items()))
        raise TransportError(f"the reports could not be loaded: {failed} of {summary.sent} not delivered")


def _run(monitor: Monitor, settings: Settings, workers: int) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from streams.alerts.record import start_of
    from streams.worker.bounded import run_bounded

    screen = console(stderr=True)
    columns = (
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(progress: Progress) -> None:
            day = "" if progress.closed is None else f"closed to {start_of(progress.closed, monitor.bucket_ms)}"
            bar.update(
                task,
                total=progress.messages,
                completed=progress.applied,
                description=f"{day}, {progress.raised} alerts",
            )

        return run_bounded(monitor, settings, workers=workers, on_progress=show)


def _alerts(monitor: Monitor, settings: Settings) -> list[bytes]:
    """Every raised or updated alert, in order of (bucket, id)."""
    from streams.state.session import StoreSettings
    from streams.state.store import Store

    assert settings.redis_url is not None
    store = Store.connect(settings.redis_url.get_secret_value(), StoreSettings.of(monitor))
    try:
        return [record for _, records in store.history() for record in records]
    finally:
        store.close()


def _report(
    monitor: Monitor,
    progress: Progress,
    alerts: list[bytes],
    problems: Counter[str],
    out: Path | None,
    *,
    as_json: bool,
    kept: str | None,
) -> None:
    from streams.events import decode_alert

    decoded: list[Alert] = [decode_alert(alert) for alert in alerts]
    statuses = Counter(alert.status for alert in decoded)
    summary = {
        "monitor": monitor.title,
        "messages": progress.messages,
        "applied": progress.applied,
        "outcomes": dict(progress.counters),
        "problems_in_files": dict(problems),
        "alerts": len(decoded),
        "by_status": dict(sorted(statuses.items())),
        "out": str(out) if out else None,
        "namespace": kept,
    }
    if as_json:
        write_json(summary)
        return
    click.echo(f"{progress.messages:,} messages, {progress.applied:,} applied: " + _listed(progress.counters))
    for reason, number in sorted(problems.items()):
        click.echo(f"  {number:,} in the files: {reason}")
    click.echo(f"{len(decoded):,} alerts: " + (_listed(statuses) or "none"))
    if out is not None:
        click.echo(f"written to {out}")
    if kept is not None:
        click.echo(f"kept as {kept}")


def _listed(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))
