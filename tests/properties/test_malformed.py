"""Whatever the bytes are: one InputError with a reason, in bounded time and memory, and never a word of the content."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import FutureTimestamp, InputError, SchemaMismatch, UnknownFormat, Unreadable
from streams.events import AdverseEvent, ClinicalNote
from streams.intake import parse
from tests.properties.malformed import NOTE, NUMBER, REPORT, TEN_MB, malformed_messages

NOW = 1_790_000_000_000
LIMIT = 1_000_000


def refusal(value: bytes | None, max_bytes: int = LIMIT) -> InputError | None:
    """What intake says, or None for a message that is in order. Any other error gets through to pytest."""
    try:
        message = parse(value, topic="t", timestamp=NOW, headers=None, max_bytes=max_bytes)
    except InputError as error:
        return error
    assert isinstance(message, (AdverseEvent, ClinicalNote))
    return None


def reason_of(value: bytes | None, max_bytes: int = LIMIT) -> str | None:
    """The reason code, or None for a message that is in order."""
    error = refusal(value, max_bytes)
    assert error is None or (type(error) is not InputError and len(str(error)) < 200)
    return error.reason if error else None


def test_the_messages_that_were_spoilt_are_in_order() -> None:
    assert reason_of(json.dumps(REPORT).encode()) is None
    assert reason_of(json.dumps(NOTE, ensure_ascii=False).encode()) is None


def test_there_are_2000_of_every_kind_and_they_are_always_the_same() -> None:
    messages = malformed_messages()
    assert len(messages) == NUMBER
    assert len({name for name, _ in messages}) == NUMBER
    assert messages == malformed_messages()
    kinds = Counter(name.split(":")[0] for name, _ in messages)
    assert kinds.keys() == {
        *("empty", "wrong type", "missing", "misspelt", "encoding", "future", "nested", "NUL", "not JSON", "10 MB"),
        "truncated",
    }


def test_every_one_of_them_is_refused_with_a_reason() -> None:
    expected = {
        "empty": {"unreadable"},
        "wrong type": {"schema_mismatch", "unknown_format", "unreadable"},
        "missing": {"schema_mismatch", "unknown_format"},
        "misspelt": {"schema_mismatch", "unknown_format"},
        "encoding": {"unreadable"},
        "future": {"future_timestamp", "schema_mismatch", "unreadable"},
        "nested": {"unreadable"},
        "NUL": {"unreadable", "schema_mismatch"},
        "not JSON": {"unreadable", "schema_mismatch"},
        "10 MB": {"too_large"},
        "truncated": {"unreadable"},
    }
    for name, value in malformed_messages():
        reason = reason_of(value)
        assert reason in expected[name.split(":")[0]], name


def test_none_takes_long_or_much_memory() -> None:
    """Also with a limit that lets 10 MB through, where a quadratic scan would take minutes."""
    tracemalloc.start()
    try:
        for name, value in malformed_messages():
            tracemalloc.reset_peak()
            before, started = tracemalloc.get_traced_memory()[0], time.process_time()
            reason_of(value, 2 * TEN_MB)
            assert time.process_time() - started < 5, name
            assert tracemalloc.get_traced_memory()[1] - before < max(2_000_000, 5 * len(value or b"")), name
    finally:
        tracemalloc.stop()


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    assert reason_of(value) is not None


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*REPORT, *NOTE]), inner, max_size=5),
)


@settings(max_examples=200)
@given(documents)
def test_any_json_is_read_or_refused(document: object) -> None:
    reason_of(json.dumps(document).encode())


whole = st.sampled_from(
    [json.dumps(base, ensure_ascii=plain).encode() for base in (REPORT, NOTE) for plain in (True, False)]
)


@settings(max_examples=200)
@given(whole, st.data())
def test_a_message_spoilt_anywhere_is_read_or_refused(value: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, min(len(value), start + 20)))
    reason_of(value[:start] + data.draw(st.binary(max_size=8)) + value[end:])


@given(whole, st.integers(0, 5_000))
def test_a_message_cut_anywhere_is_unreadable(value: bytes, at: int) -> None:
    assert reason_of(value[: at % len(value)]) == "unreadable"


@given(st.sampled_from(sorted(REPORT)), documents)
def test_any_value_in_any_field_is_read_or_refused_with_its_path(field: str, wrong: object) -> None:
    error = refusal(json.dumps({**REPORT, field: wrong}).encode())
    if isinstance(error, SchemaMismatch):
        assert str(error).startswith((f"$.{field}", "$:", "$.narrative", "$.text"))
    elif isinstance(error, UnknownFormat):
        assert field == "type"
    elif isinstance(error, FutureTimestamp):
        assert field == "received_at"
    else:
        assert error is None or isinstance(error, Unreadable)
