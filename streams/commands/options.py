"""What several commands have in common: the monitor they are about, and the settings of the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from streams.errors import ConfigurationError
from streams.logs import configure_logging
from streams.monitors import Monitor
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from streams.state.store import StoreSettings

__all__ = [
    "group_monitor_option",
    "json_option",
    "monitor_option",
    "prepare",
    "store_settings",
    "store_url",
    "terminable",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_MONITOR = "Monitor file, or the name of a shipped one: demo, live, vaers."
monitor_option: Decorator = click.option("-m", "--monitor", required=True, metavar="FILE|NAME", help=_MONITOR)
group_monitor_option: Decorator = click.option("-m", "--monitor", metavar="FILE|NAME", help=_MONITOR)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")


def prepare() -> Settings:
    """Read the settings from the environment and set the logs up. Raises ConfigurationError."""
    settings = load_settings()
    configure_logging(settings.log_level)
    return settings


def store_url(settings: Settings) -> str:
    """Where Redis is. Raises ConfigurationError without one: an embedded server lives in its worker alone."""
    if settings.redis_url is None:
        raise ConfigurationError("no Redis to look at: set VIGILIA_REDIS_URL to the one that `vigilia run` uses")
    return settings.redis_url.get_secret_value()


def store_settings(monitor: Monitor) -> StoreSettings:
    """What of `monitor` its state in Redis depends on."""
    from streams.state.session import StoreSettings

    return StoreSettings.of(monitor)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl+C does: the workers it started are stopped, what it made elsewhere is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
