"""Two thousand messages that are no messages, each with a name: for intake alone and for a worker as a whole.

Seeded, so that a name means the same bytes in every run. Every one of them must become a dead letter with a reason,
whatever the time of its record is (before the year 2100).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["NUMBER", "malformed_messages"]

NUMBER = 2_000
TEN_MB = 10_000_000
Named = tuple[str, bytes | None]

REPORT: dict[str, Any] = {
    "type": "adverse_event",
    "case_id": "M-1",
    "products": [{"name": "Alphamab", "role": "suspect"}, {"name": "Ibuprofen", "role": "concomitant"}],
    "events": ["Pyrexia", "Purpura f\u00e9brile"],
    "version": 1,
    "received_at": 1_650_000_000_000,
    "patient": {"age_years": 42.5, "sex": "F", "region": "Qu\u00e9bec"},
    "exposure_date": "2022-04-01",
    "onset_date": "2022-04-09",
    "serious": True,
    "narrative": "R\u00e9action apr\u00e8s la deuxi\u00e8me dose.",
}
NOTE: dict[str, Any] = {
    "type": "clinical_note",
    "case_id": "M-2",
    "text": "Fi\u00e8vre trois jours apr\u00e8s Alphamab.",
    "version": 2,
    "received_at": "2022-04-10T08:00:00+02:00",
    "patient": {"age_years": 7, "sex": "M"},
}


def each(field: str, *values: Any) -> list[dict[str, Any]]:
    """An object with one field for every value."""
    return [{field: value} for value in values]


WRONG: dict[str, list[Any]] = {
    "type": [None, 7, [], {}, "", "adverse-event", "ADVERSE_EVENT", "Patient/1", "\u0000"],
    "case_id": [None, 7, 1.5, True, [], {}, ["M-1"], "", " ", "\t\n", "x" * 201, "M\u00001", "M\u202e1", "\ud800"],
    "products": [
        *(None, 7, "Alphamab", {}, [], [None], [[]], ["Alphamab"], [{}], [{"role": "suspect"}]),
        *([name] for name in each("name", None, 7, "", "  ", [], {}, "x" * 301, "a\u0007b", "\udfff")),
        *([{"name": "Alphamab", **role}] for role in each("role", None, 7, "", "SUSPECT", "primary", [])),
        [{"name": "Alphamab"}] * 501,
    ],
    "events": [None, 7, "Pyrexia", {}, [None], [7], [[]], [{}], [""], [" "], ["x" * 301], ["a\u0000"], ["x"] * 1001],
    "text": [None, 7, 1.5, True, [], {}, ["text"], "", " ", "\n\n\t", "a\u0000b", "\ud83d"],
    "version": [None, 0, -1, 1_000_001, 2**63, 2**64, 10**300, 1.5, "1", "one", True, [], {}],
    "received_at": [
        *("", "now", "2022-04-10", "2022-04-10T08:00:00", "10/04/2022", "2022-13-01T00:00:00Z", "1650000000000"),
        *("2022-04-10T25:00:00Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-06-01T00:00:00Z"),
        *(-1, 0, 1_650_000_000, -(2**63), -(10**300), 1.5, True, [], {}),
    ],
    "patient": [
        *(None, 7, "F", [], [{}]),
        *each("age_years", -1, -0.001, 150.5, 10**12, "42", True, [], {}),
        *each("sex", None, 1, "", "f", "female", "X", []),
        *each("region", 7, [], {}, "x" * 101, "a\u0000b"),
    ],
    "exposure_date": [7, True, "", "2022", "2022-02-30", "2022-4-1", "01/04/2022", "2022-04-01T00:00:00Z", []],
    "onset_date": [7, False, "", "today", "2022-00-10", "0000-01-01", "10000-01-01", {}],
    "serious": ["yes", "true", 1, 0, [], {}],
    "narrative": [7, 1.5, True, [], {}, "a\u0000b", "\ud800\ud800"],
}


def malformed_messages() -> list[Named]:
    """`NUMBER` pairs of a name and the value of a record; None is a record without a value."""
    chosen = random.Random(20_260)
    messages = [
        *_empty(),
        *_wrong_types(),
        *_missing_fields(),
        *_wrong_encodings(),
        *_future_dates(chosen),
        *_nested(),
        *_nul_bytes(chosen),
        *_not_json(chosen),
        *_too_large(),
    ]
    messages.extend(_truncated(chosen, NUMBER - len(messages)))
    return messages


def _bytes(content: dict[str, Any], *, ascii_only: bool = True) -> bytes:
    return json.dumps(content, ensure_ascii=ascii_only).encode()


def _empty() -> Iterator[Named]:
    yield "empty: no value", None
    for name, value in (
        ("no bytes", b""),
        ("a space", b" "),
        ("line ends", b"\r\n\r\n"),
        ("BOM only", b"\xef\xbb\xbf"),
    ):
        yield f"empty: {name}", value


def _wrong_types() -> Iterator[Named]:
    for base in (REPORT, NOTE):
        for field in base:
            for number, wrong in enumerate(WRONG[field]):
                yield f"wrong type: {base['type']} {field} #{number}", _bytes({**base, field: wrong})
    for number, wrong in enumerate([None, True, 7, 1.5, "text", [], [REPORT], [[]], {}]):
        yield f"wrong type: document #{number}", json.dumps(wrong).encode()


def _missing_fields() -> Iterator[Named]:
    for base, required in ((REPORT, ("type", "case_id", "products")), (NOTE, ("type", "case_id", "text"))):
        for field in required:
            yield f"missing: {base['type']} {field}", _bytes({k: v for k, v in base.items() if k != field})
            yield (
                f"misspelt: {base['type']} {field}",
                _bytes({k.replace(field, field.title()): v for k, v in base.items()}),
            )
    yield "missing: everything", b"{}"


def _wrong_encodings() -> Iterator[Named]:
    for base in (REPORT, NOTE):
        text = json.dumps(base, ensure_ascii=False)
        for encoding in (
            "latin-1",
            "cp1252",
            "cp437",
            "mac-roman",
            "utf-16",
            "utf-16-le",
            "utf-16-be",
            "utf-32",
            "utf-7",
        ):
            if encoding == "utf-7":
                value = text.replace("{", "+AHs-", 1).encode("ascii", "replace")
            else:
                value = text.encode(encoding)
            yield f"encoding: {base['type']} {encoding}", value
        whole = _bytes(base, ascii_only=False)
        at = whole.index(b"\xc3")
        for name, wrong in {
            "lead byte alone": b"\xc3 ",
            "continuation byte alone": b"\xa9",
            "overlong slash": b"\xc0\xaf",
            "surrogate in UTF-8": b"\xed\xa0\x80",
            "beyond Unicode": b"\xf4\x90\x80\x80",
            "five bytes": b"\xf8\x88\x80\x80\x80",
            "never a byte": b"\xfe\xff",
        }.items():
            yield f"encoding: {base['type']} {name}", whole[:at] + wrong + whole[at + 2 :]
            yield f"encoding: {base['type']} {name} in a field not read", whole[:-1] + b', "x": "' + wrong + b'"}'
        for name, escape in {"high surrogate": "\\ud800", "low surrogate": "\\udc00", "bad escape": "\\u12g4"}.items():
            yield f"encoding: {base['type']} {name} escaped", whole[:-1] + f', "x": "{escape}"}}'.encode()


def _future_dates(chosen: random.Random) -> Iterator[Named]:
    for number in range(90):
        base = (REPORT, NOTE)[number % 2]
        year, milliseconds = chosen.randint(2101, 9999), chosen.randint(4_200_000_000_000, 253_402_300_800_000)
        yield f"future: {base['type']} {year}", _bytes({**base, "received_at": f"{year}-01-01T00:00:00Z"})
        yield f"future: {base['type']} {milliseconds} ms", _bytes({**base, "received_at": milliseconds})
    for power in (15, 16, 18, 19, 20, 30, 300):  # microseconds, nanoseconds and worse
        yield f"future: 10**{power}", _bytes({**REPORT, "received_at": 10**power})
    yield (
        "future: a number of 100,000 digits",
        _bytes({**NOTE, "received_at": 0})[:-1] + b', "received_at": ' + (b"9" * 100_000 + b"}"),
    )


def _nested() -> Iterator[Named]:
    for depth in (65, 100, 500, 990, 1_100, 5_000, 50_000, 400_000):
        for name, start, inside, end in (
            ("arrays", b"[", b"", b"]"),
            ("objects", b'{"a":', b"1", b"}"),
            ("both", b'[{"a":', b"1", b"}]"),
        ):
            if len(start) * depth > 900_000:
                continue
            deep = start * depth + inside + end * depth
            yield f"nested: {depth} {name}", deep
            yield f"nested: {depth} {name} never closed", start * depth
            yield f"nested: {depth} {name} in a field not read", _bytes(REPORT)[:-1] + b', "x": ' + deep + b"}"
            yield f"nested: {depth} {name} for products", _bytes(REPORT)[:-1] + b', "products": ' + deep + b"}"
            yield f"nested: {depth} {name} for text", _bytes(NOTE)[:-1] + b', "text": ' + deep + b"}"


def _nul_bytes(chosen: random.Random) -> Iterator[Named]:
    yield "NUL: 1", b"\0"
    yield "NUL: 100,000", b"\0" * 100_000
    for number in range(150):
        whole = _bytes((REPORT, NOTE)[number % 2], ascii_only=number % 4 < 2)
        at = chosen.randrange(len(whole) + 1)
        yield f"NUL: byte at {at} #{number}", whole[:at] + b"\0" + whole[at:]
    for path in ("case_id", "narrative"):
        yield f"NUL: escaped in {path}", _bytes({**REPORT, path: "a\0b"})


def _not_json(chosen: random.Random) -> Iterator[Named]:
    for name, value in {
        "XML": b'<?xml version="1.0"?><ichicsr lang="en"><safetyreport/></ichicsr>',
        "HL7 v2": b"MSH|^~\\&|ADT1|MCM|LABADT|MCM|198808181126|SECURITY|ADT^A01|MSG00001|P|2.4",
        "CSV": b"case_id,product,event\nM-1,Alphamab,Pyrexia\n",
        "plain text": b"Fever three days after Alphamab.",
        "Python": repr(REPORT).encode(),
        "NaN": _bytes({**REPORT, "patient": {"age_years": float("nan")}}),
        "Infinity": _bytes({**REPORT, "patient": {"age_years": float("inf")}}),
        "1e999": _bytes(REPORT).replace(b"42.5", b"1e999"),
        "leading zero": _bytes(REPORT).replace(b"42.5", b"042"),
        "comment": b"// a report\n" + _bytes(REPORT),
        "trailing comma": _bytes(REPORT)[:-1] + b",}",
        "two documents": _bytes(REPORT) + _bytes(NOTE),
        "two lines": _bytes(REPORT) + b"\n" + _bytes(NOTE),
        "single quotes": _bytes(REPORT).replace(b'"', b"'"),
        "raw line end in a string": _bytes(NOTE).replace(b"trois", b"tr\nois"),
        "gzip": bytes.fromhex("1f8b0800000000000003ab56ca48cdc9c95700a2f92c0a0000"),
        "Avro": b"Obj\x01\x04\x14avro.codec\x08null\x16avro.schema",
        "Confluent header": b"\0\0\0\0\x01" + _bytes(REPORT),
        "base64": b"eyJ0eXBlIjogImFkdmVyc2VfZXZlbnQifQ==",
    }.items():
        yield f"not JSON: {name}", value
    for number in range(200):
        yield f"not JSON: noise #{number}", b"\xff" + chosen.randbytes(chosen.randint(0, 2_000))


def _too_large() -> Iterator[Named]:
    yield "10 MB: a note that is in order", _bytes({**NOTE, "text": "a b " * (TEN_MB // 4)})
    yield "10 MB: spaces after a report", _bytes(REPORT) + b" " * TEN_MB
    yield "10 MB: brackets", b"[" * TEN_MB
    yield "10 MB: quotes", b'"\\' * (TEN_MB // 2)
    yield "10 MB: NUL", b"\0" * TEN_MB


def _truncated(chosen: random.Random, number: int) -> Iterator[Named]:
    """As many as are wanted: messages cut off somewhere, some in the middle of a character."""
    for count in range(number):
        base = (REPORT, NOTE)[count % 2]
        whole = _bytes(base, ascii_only=count % 4 < 2)
        at = chosen.randrange(1, len(whole))
        yield f"truncated: {base['type']} at {at} #{count}", whole[:at]
