"""What several commands have in common: the monitor they are about, and the settings of the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from streams.logs import configure_logging
from streams.settings import Settings, load_settings

__all__ = ["json_option", "monitor_option", "prepare"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

monitor_option: Decorator = click.option(
    "-m",
    "--monitor",
    required=True,
    metavar="FILE|NAME",
    help="Monitor file, or the name of a shipped one: demo, vaers.",
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")


def prepare() -> Settings:
    """Read the settings from the environment and set the logs up. Raises ConfigurationError."""
    settings = load_settings()
    configure_logging(settings.log_level)
    return settings
