"""The identity of an alert."""

from __future__ import annotations

import hashlib

__all__ = ["alert_id"]


def alert_id(monitor: str, drug: str, event: str, kind: str = "signal") -> str:
    """20 hexadecimal digits that stand for the alert in every replay, on every topic.

    >>> alert_id("vaers", "RV", "Intussusception") == alert_id("vaers", "RV", "Intussusception")
    True
    """
    parts = "".join(f"{len(part.encode())}:{part}" for part in (monitor, drug, event, kind))
    return hashlib.blake2b(parts.encode(), digest_size=10, person=b"vigilia-alert").hexdigest()
