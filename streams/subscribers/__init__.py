"""How other programs receive alerts."""

from streams.subscribers.alerts import AlertStream
from streams.subscribers.revisions import AlertFilter

__all__ = ["AlertFilter", "AlertStream"]
