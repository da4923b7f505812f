"""Monitors: what to watch and by which rule, one TOML file each. Everything here is hashed into state and alerts."""

from streams.monitors.monitor import (
    AlarmSettings,
    Evidence,
    Monitor,
    Source,
    TextSettings,
    Uncertain,
    load_monitor,
    shipped_monitors,
)
from streams.monitors.rules import Rules
from streams.monitors.terms import TermSettings, VocabularySource

__all__ = [
    "AlarmSettings",
    "Evidence",
    "Monitor",
    "Rules",
    "Source",
    "TermSettings",
    "TextSettings",
    "Uncertain",
    "VocabularySource",
    "load_monitor",
    "shipped_monitors",
]
