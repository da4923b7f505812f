"""The reader of canonical JSON: what it accepts, what it says of the rest."""

from __future__ import annotations

import inspect
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import FutureTimestamp, InputError, SchemaMismatch, TooLarge, UnknownFormat, Unreadable
from streams.events import END_OF_TIME, AdverseEvent, ClinicalNote, Patient, Product, encode
from streams.intake import EARLIEST_MS, FUTURE_TOLERANCE_MS, Headers, clean_term, parse, received_at_ms

NOW = 1_700_000_000_000  # 2023-11-14T22:13:20Z
SECRET = "Zoltan Placeholder of 12 Elm Street"


def read(value: bytes | None, *, timestamp: int = NOW, headers: Headers = None, max_bytes: int = 1_000_000) -> Any:
    return parse(value, topic="t", timestamp=timestamp, headers=headers, max_bytes=max_bytes)


def report(**changes: Any) -> bytes:
    content = {"type": "adverse_event", "case_id": "A-1", "products": [{"name": "Alpha"}], "events": ["Pyrexia"]}
    return json.dumps(content | changes).encode()


def note(**changes: Any) -> bytes:
    return json.dumps({"type": "clinical_note", "case_id": "N-1", "text": "Feels well."} | changes).encode()


def test_a_report_keeps_every_field() -> None:
    value = report(
        products=[{"name": "Alpha", "role": "concomitant", "lot": "4A", "manufacturer": "Makers"}],
        version=3,
        received_at=922_406_400_000,
        patient={"age_years": 0.4, "sex": "F", "region": "CA"},
        exposure_date="1999-03-01",
        onset_date="1999-03-04",
        serious=True,
        narrative="Fever after the first dose.",
        seriousness=["life_threatening", "other"],
        outcome="recovering",
    )
    assert json.loads(encode(read(value))) == json.loads(value)


def test_unknown_fields_are_tolerated() -> None:
    assert read(report(comment={"from": ["a", "later", "version"]})).case_id == "A-1"


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert read(b'{"type":"clinical_note","case_id":"a","text":"x","case_id":"b"}').case_id == "b"


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(b"\xef\xbb\xbf" + note()).text == "Feels well."


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (None, Unreadable, "no value"),
        (b"", Unreadable, "empty"),
        (b"   ", Unreadable, "ends in the middle"),
        (b"hello", Unreadable, "not JSON"),
        (report()[:-1], Unreadable, "ends in the middle"),
        (report() + b"}", Unreadable, "not JSON"),
        (report().replace(b"A-1", b"A\0"), Unreadable, "NUL"),
        (report(case_id="é").decode("unicode_escape").encode("latin-1"), Unreadable, "not UTF-8"),
        (report().decode().encode("utf-16"), Unreadable, "UTF-16"),
        (report().decode().encode("utf-16-be"), Unreadable, "NUL"),
        (report(case_id="\ud800"), Unreadable, ""),
        (b'{"type":"clinical_note","case_id":"a","text":"x","more":"\xff"}', Unreadable, "not UTF-8"),
        (b"[" * 1_000_000, Unreadable, "nested too deep"),
        (report()[:-1] + b',"x":' + b'{"a":' * 64 + b"1" + b"}" * 65, Unreadable, "nested too deep"),
        (b"[]", SchemaMismatch, "$: Expected `object`"),
        (b"7", SchemaMismatch, "$: Expected `object`"),
        (b"{}", UnknownFormat, "$.type"),
        (report(type="lab_result"), UnknownFormat, "$.type"),
        (report(type=7), UnknownFormat, "$.type"),
        (report(products=[]), SchemaMismatch, "$.products: Expected `array` of length >= 1"),
        (report(products=[{"name": "A"}, {"name": 7}]), SchemaMismatch, "$.products[1].name: Expected `str`"),
        (report(products=[{"name": " \t "}]), SchemaMismatch, "$.products[0].name: nothing but white space"),
        (report(events=["Rash", "a\u0007b"]), SchemaMismatch, "$.events[1]: control character"),
        (report(events=["Rash\u202egnp.exe"]), SchemaMismatch, "$.events[0]: control character"),
        (report(events=[""]), SchemaMismatch, "$.events[0]"),
        (report(events=["x" * 301]), SchemaMismatch, "$.events[0]"),
        (report(events=["x"] * 1001), SchemaMismatch, "$.events"),
        (report(case_id=""), SchemaMismatch, "$.case_id"),
        (report(case_id="\u2003"), SchemaMismatch, "$.case_id: nothing but white space"),
        (report(case_id="x" * 201), SchemaMismatch, "$.case_id"),
        (report(version=0), SchemaMismatch, "$.version: Expected `int` >= 1"),
        (report(version=10**30), SchemaMismatch, "$.version"),
        (report(version=1.5), SchemaMismatch, "$.version"),
        (report(patient={"age_years": -1}), SchemaMismatch, "$.patient.age_years"),
        (report().replace(b'["Pyrexia"]', b'[], "patient": {"age_years": 1e999}'), SchemaMismatch, "$.patient.age"),
        (report(patient=None), SchemaMismatch, "$.patient"),
        (report(onset_date="2023-02-30"), SchemaMismatch, "$.onset_date: Invalid RFC3339 encoded date"),
        (report(narrative="a\0b"), SchemaMismatch, "$.narrative: NUL"),
        (note(text=""), SchemaMismatch, "$.text"),
        (note(text=" \n "), SchemaMismatch, "$.text: nothing but white space"),
        (note(text=None), SchemaMismatch, "$.text"),
        (report(received_at=-1), SchemaMismatch, "$.received_at: before 1971"),
        (report(received_at=NOW // 1000), SchemaMismatch, "milliseconds, not seconds"),
        (report(received_at=True), SchemaMismatch, "$.received_at"),
        (report(received_at=NOW + 0.5), SchemaMismatch, "$.received_at"),
        (report(received_at="2023-11-01T10:00:00"), SchemaMismatch, "$.received_at: time without an offset"),
        (report(received_at="2023-11-01"), SchemaMismatch, "$.received_at"),
        (report(received_at="0001-01-01T00:00:00+14:00"), SchemaMismatch, "$.received_at: before 1971"),
        (report(received_at="9999-12-31T23:59:59-12:00"), FutureTimestamp, "24 h"),
        (report(received_at=10**400), FutureTimestamp, "24 h"),
    ],
)
def test_what_is_wrong_is_told_by_class_and_path(value: bytes | None, error: type[InputError], says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(value, max_bytes=2_000_000)
    assert type(caught.value) is error
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        report(type=SECRET),
        report(patient={"sex": SECRET}),
        report(products=[{"name": "Alpha", "role": SECRET}]),
        report(received_at=SECRET),
        report(onset_date=SECRET),
        report(events=[SECRET + "\0"]),
        report(narrative=SECRET + "\0"),
        note(text=SECRET)[:-3],
        note(text=SECRET).replace(b"Elm", b"\xff"),
        note(text=SECRET).replace(b"Elm", b"\x01"),
        note(patient=SECRET),
        note(version=SECRET),
        b'{"' + SECRET.encode() + b'": 1}',
    ],
)
def test_no_message_quotes_a_value(value: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read(value)
    for word in SECRET.split():
        assert word not in str(caught.value) or word == "of"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_nesting_is_judged_alike_however_deep_the_caller_is() -> None:
    """The decoder's own limit is what is left of the stack; 64 levels are read even where little is left."""
    value = report()[:-1] + b',"x":' + b"[" * 63 + b"]" * 63 + b"}"

    def descend(levels: int) -> Any:
        return descend(levels - 1) if levels else read(value)

    frames_here = len(inspect.stack(0))
    assert descend(sys.getrecursionlimit() - frames_here - 150).case_id == "A-1"


def test_brackets_in_texts_are_no_nesting() -> None:
    assert read(note(text='[{"' * 1000 + "\\" * 7)).case_id == "N-1"


def test_a_message_of_the_limit_is_read_and_one_byte_more_is_not() -> None:
    value = note()
    assert read(value, max_bytes=len(value)).case_id == "N-1"
    with pytest.raises(TooLarge):
        read(value, max_bytes=len(value) - 1)


@pytest.mark.parametrize(
    ("content_type", "fits"),
    [
        (b"application/json", True),
        (b"application/cloudevents+json; charset=UTF-8", True),
        (b"application/xml", False),
        (b"application/json; charset=latin-1", False),
        (b"\xff", False),
        (b"", True),
        (None, True),
    ],
)
def test_a_content_type_must_be_json(content_type: bytes | None, fits: bool) -> None:
    headers = [("traceparent", b"00-1"), ("Content-Type", content_type)]
    if fits:
        assert read(note(), headers=headers).case_id == "N-1"
    else:
        with pytest.raises(UnknownFormat):
            read(note(), headers=headers)


# ---------------------------------------------------------------- event time


def test_without_received_at_the_time_of_the_record_counts() -> None:
    assert received_at_ms(read(note()), NOW) == NOW


def test_an_offset_from_utc_is_applied_and_fractions_are_cut() -> None:
    message = read(note(received_at="2023-11-01T00:30:00.9999+02:00"))
    assert received_at_ms(message, NOW) == int(datetime(2023, 10, 31, 22, 30, tzinfo=UTC).timestamp()) * 1000 + 999


@given(st.integers(-(10**13), 10**14))
def test_a_time_counts_from_1971_until_24_h_after_the_record(received_at: int) -> None:
    value = report(received_at=received_at)
    if received_at < EARLIEST_MS:
        with pytest.raises(SchemaMismatch):
            read(value)
    elif received_at > NOW + FUTURE_TOLERANCE_MS:
        with pytest.raises(FutureTimestamp):
            read(value)
    else:
        assert received_at_ms(read(value), NOW) == received_at


def test_the_last_millisecond_of_the_24_hours_counts() -> None:
    assert read(report(received_at=NOW + FUTURE_TOLERANCE_MS))
    with pytest.raises(FutureTimestamp):
        read(report(received_at=NOW + FUTURE_TOLERANCE_MS + 1))


@pytest.mark.parametrize("timestamp", [-1, 0, END_OF_TIME])
def test_a_record_without_a_usable_time_of_its_own_dates_nothing(timestamp: int) -> None:
    with pytest.raises(InputError):
        read(note(), timestamp=timestamp)


def test_a_record_without_a_timestamp_can_not_vouch_for_a_received_at() -> None:
    with pytest.raises(FutureTimestamp):
        read(note(received_at=NOW), timestamp=-1)


# ---------------------------------------------------------------- one spelling


@pytest.mark.parametrize(
    ("given_term", "cleaned"),
    [
        ("Intussusception", "Intussusception"),
        ("  Guillain-Barre\t syndrome\r\n", "Guillain-Barre syndrome"),
        ("a\u00a0b\u2003c", "a b c"),
        ("a  b", "a b"),
        ("Sjo\u0308gren", "Sj\u00f6gren"),
        ("a ~ b", "a ~ b"),
        ("~", "~"),
    ],
)
def test_terms_come_in_one_spelling(given_term: str, cleaned: str) -> None:
    assert clean_term(given_term, "$") == cleaned
    assert read(report(events=[given_term], products=[{"name": given_term}])).events == [cleaned]


@pytest.mark.parametrize("untidy", [" b", "b ", "~ b", "b ~", " ~"])
def test_one_untidy_term_among_others_is_found(untidy: str) -> None:
    assert read(report(events=["a", untidy, "c"])).events == ["a", untidy.strip(), "c"]


def test_a_blank_region_or_narrative_is_none() -> None:
    message = read(report(patient={"region": "  "}, narrative=" \n"))
    assert message.patient.region is None
    assert message.narrative is None


words = st.text(max_size=20)
reports = st.builds(
    AdverseEvent,
    case_id=words,
    products=st.lists(
        st.builds(Product, words, st.sampled_from(["suspect", "concomitant", "interacting"])), max_size=3
    ),
    events=st.lists(words, max_size=4),
    version=st.integers(-1, 5),
    received_at=st.none() | st.integers(0, NOW) | st.datetimes(timezones=st.just(UTC), max_value=datetime(2023, 1, 1)),
    patient=st.builds(Patient, st.none() | st.floats(0, 150), st.sampled_from(["F", "M", "U"]), st.none() | words),
    exposure_date=st.none() | st.dates(),
    narrative=st.none() | words,
)
notes = st.builds(ClinicalNote, case_id=words, text=words)


@given(reports | notes)
def test_what_passed_once_passes_again_unchanged(message: AdverseEvent | ClinicalNote) -> None:
    try:
        first = read(encode(message))
    except InputError:
        return
    assert read(encode(first)) == first
