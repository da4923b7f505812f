"""Alerts as they stand on the topic: one by the beginning of its id, or all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streams.errors import ConfigurationError
from streams.events import Alert
from streams.settings import Settings
from streams.subscribers import AlertStream

__all__ = ["find_alert", "newest_alerts"]


def newest_alerts(settings: Settings, *, state: Sequence[str] | None = None, monitor: str | None = None) -> list[Alert]:
    """The newest revision of each alert, in order of (bucket, id); what is no alert is passed over."""

    async def read() -> list[Alert]:
        stream = AlertStream(settings, follow=False, unreadable="skip", state=state, monitor=monitor)
        async with stream:
            return [alert async for alert in stream]

    return asyncio.run(read())


def find_alert(settings: Settings, alert_id: str) -> Alert:
    """The alert whose id is `alert_id` or alone begins so. Raises ConfigurationError that tells how to find ids."""
    found = [alert for alert in newest_alerts(settings) if alert.id.startswith(alert_id)]
    exact = [alert for alert in found if alert.id == alert_id]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if not found:
        raise ConfigurationError(
            f"no alert {alert_id} on topic {settings.alerts_topic}: `vigilia alerts` lists the ids, "
            "`vigilia alerts --drug NAME` those of a drug"
        )
    raise ConfigurationError(f"{len(found)} alerts begin with {alert_id}: {', '.join(alert.id for alert in found[:5])}")
