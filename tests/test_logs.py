from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from streams.errors import StoreUnavailable
from streams.logs import FloodFilter, configure_logging, describe_exception

SECRET = "Mrs Margarethe Quellwasser, 48"


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("faust", "mode", "aiokafka", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, least in levels.items():
        logging.getLogger(name).setLevel(least)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_where_nobody_watches() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    structlog.get_logger("streams.test").info("batch_applied", partition=3, messages=120)
    (line,) = lines(stream)
    assert {key: value for key, value in line.items() if key != "timestamp"} == {
        "event": "batch_applied",
        "level": "info",
        "logger": "streams.test",
        "messages": 120,
        "partition": 3,
    }


def test_a_terminal_gets_words_instead_of_json() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    configure_logging("info", stream=stream)
    structlog.get_logger("streams.test").info("batch_applied", partition=3)
    assert "batch_applied" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_events_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    configure_logging("warning", stream=stream)
    structlog.get_logger("streams.test").info("batch_applied")
    assert stream.getvalue() == ""


def test_a_second_set_up_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("info", stream=first)
    configure_logging("info", stream=second)
    structlog.get_logger("streams.test").info("batch_applied")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_patient_text_reaches_no_line_however_it_gets_there(as_json: bool) -> None:
    stream = io.StringIO()
    configure_logging("debug", stream=stream, as_json=as_json)
    ours, theirs = structlog.get_logger("streams.test"), logging.getLogger("faust.agents")
    ours.info("assessed", text=SECRET, narrative=SECRET, value=SECRET.encode())
    ours.info("assessed", payload=SECRET, record=SECRET.encode())
    try:
        int(SECRET)
    except ValueError as error:
        ours.exception("assess_failed")
        theirs.exception("Crashed reason=%r", error)
        theirs.error("Agent raised error: %(exc)s", {"exc": error})
        theirs.error("could not decode %r", SECRET.encode())
        logging.getLogger("mode").error("crashed", exc_info=error)
    assert len(stream.getvalue().splitlines()) >= 7
    assert "Quellwasser" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_an_error_of_ours_keeps_its_message_and_its_place() -> None:
    try:
        raise StoreUnavailable("redis at 127.0.0.1:1 can't be reached")
    except StoreUnavailable as error:
        described = describe_exception(error)
    assert described.startswith("StoreUnavailable: redis at 127.0.0.1:1 can't be reached (at test_logs.py:")


def test_a_repeating_line_passes_once_an_interval_with_the_number_left_out() -> None:
    now = [0.0]
    flood = FloodFilter(interval=10.0, clock=lambda: now[0])

    def passes(message: str) -> logging.LogRecord | None:
        record = logging.LogRecord("aiokafka", logging.ERROR, __file__, 1, message, (now[0],), None)
        return record if flood.filter(record) else None

    assert passes("no connection at %s") is not None
    assert [passes("no connection at %s") for _ in range(50)] == [None] * 50
    assert passes("another line %s") is not None
    now[0] = 10.0
    again = passes("no connection at %s")
    assert again is not None
    assert again.__dict__["repeated"] == 50


def test_our_own_events_are_never_held_back_and_foreign_floods_are() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    for _ in range(20):
        structlog.get_logger("streams.test").warning("late_case")
        logging.getLogger("aiokafka.conn").error("Unable to connect to node %s", 1)
    by_logger = [line["logger"] for line in lines(stream)]
    assert by_logger.count("streams.test") == 20
    assert by_logger.count("aiokafka.conn") == 1
    assert lines(stream)[1]["event"] == "Unable to connect to node 1"
