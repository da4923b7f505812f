"""Intake: bytes to events, one module a format, and the way of files onto a source topic."""

from streams.intake.canonical import (
    EARLIEST_MS,
    FUTURE_TOLERANCE_MS,
    Headers,
    clean_term,
    parse,
    parse_timed,
    received_at_ms,
)

__all__ = ["EARLIEST_MS", "FUTURE_TOLERANCE_MS", "Headers", "clean_term", "parse", "parse_timed", "received_at_ms"]
