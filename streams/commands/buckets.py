"""Buckets as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

from streams.errors import ConfigurationError

__all__ = ["bucket_number"]


def bucket_number(text: str, width_ms: int) -> int:
    """The number of a bucket given by its number, or by the day or time (UTC) at which it begins.

    Raises ConfigurationError for anything else, and for a time at which no bucket begins.

    >>> bucket_number("10653", 86_400_000), bucket_number("1999-03-03", 86_400_000)
    (10653, 10653)
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is neither the number of a bucket nor a day such as 2026-03-01") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    bucket, rest = divmod(round(moment.timestamp() * 1000), width_ms)
    if rest:
        raise ConfigurationError(f"no bucket begins at {text}: they are {width_ms:,} ms wide")
    return bucket
