"""`vigilia run`: the worker."""

from __future__ import annotations

import click

from streams.commands.options import monitor_option, prepare
from streams.errors import ConfigurationError
from streams.monitors import load_monitor

__all__ = ["command"]


@click.command("run")
@monitor_option
@click.option("--only", type=click.Choice(["assess", "detect"]), help="One stage alone; the other runs elsewhere.")
@click.option("--drain", is_flag=True, help="Stop when what the source topics hold now is applied.")
def command(monitor: str, only: str | None, drain: bool) -> int:
    """Read the source topics and raise alerts, until stopped.

    Missing topics are created (VIGILIA_CREATE_TOPICS=false: are an error). More workers of the same monitor share the
    work. Ctrl+C or SIGTERM: no more is taken, what is in hand is finished; a second one kills, which is safe.

    \b
    Example:
      export VIGILIA_BOOTSTRAP_SERVERS=kafka:9092 VIGILIA_REDIS_URL=redis://redis:6379/0
      vigilia run --monitor my-monitor.toml
    """
    from streams.transport import ensure_topics, required_topics
    from streams.worker.assessing import source_ends
    from streams.worker.work import work

    settings = prepare()
    watched = load_monitor(monitor)
    if settings.redis_url is None:
        raise ConfigurationError("no Redis: set VIGILIA_REDIS_URL, for example redis://127.0.0.1:6379/0")
    ensure_topics(settings, required_topics(watched, settings))
    until = source_ends(watched, settings) if drain else None
    return work(watched, settings, only=only, until=until, end_ticks=False)  # type: ignore[arg-type]
