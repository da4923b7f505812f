"""The published JSON Schemas are those of the types, and agree with what intake accepts."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from streams.errors import InputError
from streams.events import Alert, AssessmentRecord, EvidenceCase, Gap, Table, decode_record, encode
from streams.intake import parse
from streams.intake.schemas import FOLDER, SCHEMAS, main, rendered, schema

NOW = 4_000_000_000_000  # later than any time that a test makes: the future is not the schema's business
formats = FormatChecker(formats=())


@formats.checks("date-time")
def is_rfc3339(text: object) -> bool:
    pattern = r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
    return not isinstance(text, str) or (re.fullmatch(pattern, text, re.ASCII) is not None and is_day(text[:10]))


@formats.checks("date")
def is_day(text: object) -> bool:
    if not isinstance(text, str):
        return True
    try:
        return re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


validators = {name: Draft202012Validator(schema(name), format_checker=formats) for name in SCHEMAS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_file_is_current(name: str) -> None:
    """If not: python -m streams.intake.schemas"""
    assert (FOLDER / f"{name}.json").read_bytes() == rendered(name)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_valid_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_the_command_writes_every_schema(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(SCHEMAS)
    assert len(capsys.readouterr().out.splitlines()) == len(SCHEMAS)


# ---------------------------------------------------------------- messages from outside

plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=6)  # no control characters: see schemas.py
scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 200),
    st.integers(31_536_000_000 - 2, 1_700_000_000_000),
    st.floats(-1, 200).filter(lambda x: x != int(x)),
    plain,
    st.just("x" * 301),
    st.just("2020-02-30"),
    st.just("2020-02-28"),
    st.just("2020-02-28T10:00:00Z"),
    st.just("2020-02-28T10:00:00.5+02:00"),
    st.just("2020-02-28T10:00:00"),
    st.sampled_from(["F", "M", "suspect", "adverse_event", "clinical_note"]),
)
odd = st.recursive(scalar, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(plain, inner, max_size=2))
patient = st.fixed_dictionaries(
    {},
    optional={"age_years": scalar | st.floats(0, 150).filter(lambda x: x != int(x)), "sex": scalar, "region": scalar},
)
product = st.fixed_dictionaries({"name": plain}, optional={"role": scalar})
common: dict[str, Any] = {"version": scalar, "received_at": scalar, "patient": patient | odd, "extra": odd}
report = st.fixed_dictionaries(
    {"type": st.just("adverse_event"), "case_id": plain, "products": st.lists(product | odd, max_size=2) | odd},
    optional={
        **common,
        "events": st.lists(scalar, max_size=3) | odd,
        "exposure_date": scalar,
        "onset_date": scalar,
        "serious": scalar,
        "narrative": scalar,
    },
)
note = st.fixed_dictionaries(
    {"type": st.just("clinical_note"), "case_id": plain, "text": plain | scalar}, optional=common
)


def accepted(value: bytes) -> bool:
    try:
        parse(value, topic="t", timestamp=NOW, headers=None, max_bytes=10**6)
    except InputError:
        return False
    return True


@settings(max_examples=300)
@given(st.tuples(st.just("adverse-event"), report) | st.tuples(st.just("clinical-note"), note))
def test_schema_and_intake_accept_the_same_messages(case: tuple[str, Any]) -> None:
    name, message = case
    assert validators[name].is_valid(message) == accepted(json.dumps(message).encode())


def test_examples_of_both_verdicts() -> None:
    good = {"type": "adverse_event", "case_id": "1", "products": [{"name": "A"}], "received_at": 1_600_000_000_000}
    bad = [
        {**good, "type": "clinical_note"},
        {**good, "case_id": " "},
        {**good, "products": []},
        {**good, "products": [{}]},
        {**good, "events": [""]},
        {**good, "received_at": 1_600_000_000},
        {**good, "received_at": "2020-01-01T00:00:00"},
        {**good, "onset_date": "yesterday"},
        {**good, "patient": {"sex": "female"}},
        {k: v for k, v in good.items() if k != "case_id"},
    ]
    assert validators["adverse-event"].is_valid(good)
    assert accepted(json.dumps(good).encode())
    for message in bad:
        assert not validators["adverse-event"].is_valid(message), message
        if message["type"] == "adverse_event":
            assert not accepted(json.dumps(message).encode()), message


# ---------------------------------------------------------------- our own messages


finite = st.floats(allow_nan=False, allow_infinity=False)
alerts = st.builds(
    Alert,
    table=st.builds(Table, a=finite, b=finite, c=finite, d=finite, expected=finite),
    statistic=finite,
    threshold=finite,
    measures=st.dictionaries(plain, st.none() | finite, max_size=3),
    evidence=st.lists(st.builds(EvidenceCase, probability=finite), max_size=2),
)
records = st.one_of(*(st.builds(kind) for kind in get_args(AssessmentRecord)))


@given(st.tuples(st.just("alert"), alerts) | st.tuples(st.just("assessment-record"), records))
def test_what_we_encode_is_valid_by_the_schema(case: tuple[str, Any]) -> None:
    name, message = case
    assert validators[name].is_valid(json.loads(encode(message)))


@given(st.dictionaries(st.sampled_from(["kind", "topic", "partition", "lo", "offset"]), scalar))
def test_records_are_refused_alike_by_schema_and_decoder(content: dict[str, Any]) -> None:
    content["kind"] = "gap"
    try:
        readable = isinstance(decode_record(json.dumps(content).encode()), Gap)
    except msgspec.ValidationError:
        readable = False
    assert validators["assessment-record"].is_valid(content) == readable
