"""Logs: structured lines on stderr, a person's on a terminal and JSON elsewhere. Never patient text.

Our own events carry names, counts and coordinates, nothing else. What others log (Faust, aiokafka, librdkafka, the
interpreter's warnings) goes the same way, with three differences: the message of a foreign exception is left out,
because it may quote the data it failed on; long values are cut; and a line that repeats is written once an interval
with the number of those left out (aiokafka floods while a broker is down).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from streams.errors import VigiliaError

__all__ = ["FloodFilter", "configure_logging", "describe_exception"]

Level = Literal["debug", "info", "warning", "error"]
EventDict = MutableMapping[str, Any]

FOREIGN = {"faust": logging.WARNING, "mode": logging.WARNING, "aiokafka": logging.WARNING, "asyncio": logging.WARNING}
PATIENT_KEYS = frozenset({"text", "narrative", "sentence", "value", "payload", "message_value", "body", "note"})
LONGEST = 500
SAFE_ERRORS = (VigiliaError, OSError)  # their messages name places and numbers, not data


def describe_exception(error: BaseException) -> str:
    """One line: class, message if it is one of ours or of the system's, and the last three places it came through.

    >>> describe_exception(ValueError("48-year-old woman"))
    'ValueError'
    """
    message = f": {error}" if isinstance(error, SAFE_ERRORS) and not isinstance(error, UnicodeError) else ""
    places = _places(error.__traceback__)
    return f"{type(error).__name__}{message}" + (f" (at {' < '.join(places)})" if places else "")


def _places(trace: TracebackType | None) -> list[str]:
    places: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[:-4:-1]


def _without_patients(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key in PATIENT_KEYS:
            event[key] = "(withheld)"
        elif isinstance(value, (bytes, bytearray)):
            event[key] = f"({len(value)} bytes)"
        elif isinstance(value, str) and len(value) > LONGEST:
            event[key] = f"{value[:LONGEST]}... ({len(value)} characters)"
    return event


def _arguments_in_brief(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Faust and mode log exceptions by their repr, which holds the message; others may log the value of a record."""
    arguments = event.get("positional_args")
    if isinstance(arguments, Mapping):
        event["positional_args"] = ({key: _brief(value) for key, value in arguments.items()},)
    elif arguments:
        event["positional_args"] = tuple(_brief(value) for value in arguments)
    return event


def _brief(value: object) -> object:
    if isinstance(value, BaseException):
        return describe_exception(value)
    if isinstance(value, (bytes, bytearray)):
        return f"({len(value)} bytes)"
    return value


def _exceptions_in_brief(_logger: Any, _method: str, event: EventDict) -> EventDict:
    found = event.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
    elif found is True:
        found = sys.exc_info()[1]
    if isinstance(found, BaseException):
        event["error"] = describe_exception(found)
    return event


class FloodFilter(logging.Filter):
    """Lets a line of a foreign logger through once an interval, and says how many like it were left out.

    Lines are alike when logger, level and message template are. `clock` gives seconds; tests pass their own.
    """

    def __init__(self, interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval = interval
        self._clock = clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        now = self._clock()
        key = (record.name, record.levelno, str(record.msg)[:200])
        last, suppressed = self._seen.get(key, (None, 0))
        if last is not None and now - last < self._interval:
            self._seen[key] = (last, suppressed + 1)
            return False
        if len(self._seen) >= 1000:  # templates built by f-strings would grow without end
            self._seen.clear()
        self._seen[key] = (now, 0)
        if suppressed:
            record.repeated = suppressed
        return True


class _Handler(logging.StreamHandler[TextIO]):
    """Marks the handler as ours, so that a second set-up replaces it."""


def _repeated(_logger: Any, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    repeated = getattr(record, "repeated", None)
    if repeated is not None:
        event["repeated"] = repeated
    return event


def configure_logging(level: Level = "info", *, stream: TextIO | None = None, as_json: bool | None = None) -> None:
    """Send every log line of the process to `stream` (default: stderr).

    `as_json=None` means JSON unless the stream is a terminal. May be called again; the last call counts.
    """
    stream = sys.stderr if stream is None else stream
    as_json = not stream.isatty() if as_json is None else as_json
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _repeated,
        _exceptions_in_brief,
        _without_patients,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_arguments_in_brief, structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            keep_exc_info=False,
            keep_stack_info=False,
            use_get_message=False,
            pass_foreign_args=True,
        )
    )
    handler.addFilter(_only_foreign(FloodFilter()))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _Handler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, least in FOREIGN.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)


def _only_foreign(flood: FloodFilter) -> Callable[[logging.LogRecord], bool]:
    """Our own events are never held back: one missing would look as if it had not happened."""

    def allow(record: logging.LogRecord) -> bool:
        ours = record.name.split(".")[0] in ("streams", "inference")
        return ours or flood.filter(record)

    return allow
