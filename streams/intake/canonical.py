"""Canonical JSON to events: the one reader that every message on a source topic passes.

It stands beside msgspec because a pharmacovigilance intake has to promise more than a JSON decoder does: bytes are
checked before anything walks them (size, encoding), an error names the place and never a value, terms arrive in one
spelling, and no message can exhaust stack or memory. What passes is canonical: `parse(encode(parse(x))) == parse(x)`.

Of a key that an object holds twice, the last one counts, as in most JSON readers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from streams.errors import FutureTimestamp, SchemaMismatch, TooLarge, UnknownFormat, Unreadable
from streams.events import END_OF_TIME, AdverseEvent, ClinicalNote, Patient, Product, SourceMessage

__all__ = ["EARLIEST_MS", "FUTURE_TOLERANCE_MS", "Headers", "clean_term", "parse", "parse_timed", "received_at_ms"]

Headers = Sequence[tuple[str, bytes | None]] | None

EARLIEST_MS: Final = 31_536_000_000
"""1971-01-01T00:00:00Z. Earlier ones are refused: seconds sent as milliseconds would all fall into January 1970."""

FUTURE_TOLERANCE_MS: Final = 86_400_000
"""How far a received_at may lie after the record's own timestamp."""

_BOM = b"\xef\xbb\xbf"
_MAX_TERM = 300
_MAX_DEPTH = 64
# What stands before a string, and the string; its end is optional, so this is linear on any bytes.
_OUTSIDE = re.compile(rb'([^"]*+)(?:"(?:[^"\\]++|\\.)*+"?)?', re.DOTALL)
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_JSON_TYPES = re.compile(rb"application/(?:[\w.+-]+\+)?json\s*(?:;\s*charset\s*=\s*\"?utf-?8\"?\s*)?", re.IGNORECASE)
# Controls, line and paragraph separators, direction overrides and BOM. A fixed set: str.isprintable() would differ
# between Python versions, and with it what a replay counts.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_PATH = re.compile(r" - at `(\$[\w.\[\]]*)`$")
_FINDING = re.compile(  # the msgspec messages that hold nothing from the document
    r"Expected `[a-z0-9 |_]+`(?: of length)?(?: [<>]=? [\d.-]+)?(?:, got `[a-z]+`)?"
    r"|Object missing required field `[a-z_]+`|Invalid RFC3339 encoded date(?:time)?"
    r"|(?:Integer value|Number) out of range"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_decode = msgspec.json.Decoder(AdverseEvent | ClinicalNote).decode


def parse(value: bytes | None, *, topic: str, timestamp: int, headers: Headers, max_bytes: int) -> SourceMessage:
    """The message alone: see `parse_timed`."""
    return parse_timed(value, topic=topic, timestamp=timestamp, headers=headers, max_bytes=max_bytes)[0]


def parse_timed(
    value: bytes | None, *, topic: str, timestamp: int, headers: Headers, max_bytes: int
) -> tuple[SourceMessage, int]:
    """Read one record of a source topic: the message, and its event time by `received_at_ms`.

    The message is canonical: cleaned terms, times and texts checked. `timestamp` is the record's own, in milliseconds
    UTC. `headers` may name a `content-type`, which then must be JSON. `topic` decides nothing: reports and notes may
    share one.

    Raises an InputError and nothing else: TooLarge, Unreadable, UnknownFormat, SchemaMismatch or FutureTimestamp. Its
    message names a path such as `$.products[0].name`, never a value.
    """
    del topic
    if not value:
        raise Unreadable("no value" if value is None else "empty")
    if len(value) > max_bytes:
        raise TooLarge(f"{len(value)} bytes; at most {max_bytes} are read")
    if headers:
        _check_content_type(headers)
    message = _decoded(value)
    message = _cleaned_report(message) if isinstance(message, AdverseEvent) else _cleaned_note(message)
    return message, received_at_ms(message, timestamp)


def received_at_ms(message: SourceMessage, timestamp: int) -> int:
    """The event time of a message in integer milliseconds UTC: its `received_at`, else the record's `timestamp`.

    Fractions of a millisecond are cut off. Raises FutureTimestamp for a time more than 24 h after the record's
    timestamp or beyond the year 9999, and SchemaMismatch for one before 1971 or without an offset from UTC.
    """
    given = message.received_at
    if given is None:
        if timestamp < EARLIEST_MS:
            raise SchemaMismatch("$.received_at is missing, and the record's own timestamp is not usable")
        moment = timestamp
    elif isinstance(given, datetime):
        if given.tzinfo is None:
            raise SchemaMismatch("$.received_at: time without an offset from UTC")
        since = given - _EPOCH
        moment = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    else:
        moment = given
    if moment < EARLIEST_MS:
        raise SchemaMismatch("$.received_at: before 1971-01-01; integers are milliseconds, not seconds")
    if moment > timestamp + FUTURE_TOLERANCE_MS or moment >= END_OF_TIME:
        raise FutureTimestamp("$.received_at: more than 24 h after the record's own timestamp")
    return moment


def clean_term(term: str, path: str) -> str:
    """One spelling of a name or term: NFC, no white space at the ends, single spaces inside.

    Raises SchemaMismatch naming `path` if nothing is left, or if it holds control characters.

    >>> clean_term("  Guillain-Barre\\tsyndrome ", "$.events[0]")
    'Guillain-Barre syndrome'
    """
    if _all_plain([term]):
        return term
    cleaned = " ".join(unicodedata.normalize("NFC", term).split())
    # split() takes the separators 1C-1F for white space; no keyboard makes them, broken exports do.
    if _FORBIDDEN.search(cleaned) or any("\x1c" <= c <= "\x1f" for c in term):
        raise SchemaMismatch(f"{path}: control character")
    if not cleaned:
        raise SchemaMismatch(f"{path}: nothing but white space")
    if len(cleaned) > _MAX_TERM:
        raise SchemaMismatch(f"{path}: longer than {_MAX_TERM} characters")
    return cleaned


def _decoded(value: bytes) -> SourceMessage:
    """The message that the bytes hold, with every failure told as what is wrong with them."""
    if value.startswith(_BOM):
        value = value[3:]
    try:
        if not value.isascii():
            value.decode("utf-8")  # msgspec checks only what it keeps; a document is UTF-8 as a whole or not at all
        if value.count(b"[") + value.count(b"{") > _MAX_DEPTH:
            _check_depth(value)
        message: SourceMessage = _decode(value)
    except UnicodeDecodeError as error:
        kind = "looks like UTF-16" if b"\0" in value[:4] or value[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        raise Unreadable(f"{kind} (byte {error.start})") from None
    except msgspec.ValidationError as error:
        raise _mismatch(str(error)) from None
    except msgspec.DecodeError as error:
        raise _unreadable(value, str(error)) from None
    return message


def _check_depth(value: bytes) -> None:
    """Refuse what is nested deeper than any field of ours, before the decoder recurses into it.

    The decoder's own limit is what the interpreter's stack has left, so it would differ from caller to caller.
    """
    depth = 0
    for part in _OUTSIDE.finditer(value):
        for bracket in part[1].translate(None, _NOT_BRACKETS):
            depth += 1 if bracket in b"[{" else -1
            if depth > _MAX_DEPTH:
                raise Unreadable("nested too deep")


def _mismatch(complaint: str) -> SchemaMismatch | UnknownFormat:
    """msgspec's complaint without the values that it may quote."""
    found = _PATH.search(complaint)
    path = found.group(1) if found else "$"
    finding = complaint[: found.start()] if found else complaint
    if path == "$.type" or finding == "Object missing required field `type`":
        return UnknownFormat("$.type: neither `adverse_event` nor `clinical_note`")
    if not _FINDING.fullmatch(finding):
        finding = "value is not one of those allowed" if finding.startswith("Invalid enum") else "unfit value"
    return SchemaMismatch(f"{path}: {finding}")


def _unreadable(value: bytes, complaint: str) -> Unreadable:
    if b"\0" in value:
        return Unreadable("NUL byte: not JSON in UTF-8")
    if complaint == "Input data was truncated":
        return Unreadable("ends in the middle")
    at = re.search(r"\(byte \d+\)$", complaint)
    return Unreadable(f"not JSON {at.group(0) if at else ''}".rstrip())


def _check_content_type(headers: Sequence[tuple[str, bytes | None]]) -> None:
    for name, content in headers:
        if name.lower() == "content-type" and content and not _JSON_TYPES.fullmatch(content.strip()):
            raise UnknownFormat("header content-type: only JSON in UTF-8 is read")


def _cleaned_note(note: ClinicalNote) -> ClinicalNote:
    _check_text(note.text, "$.text")
    if not note.text.strip():
        raise SchemaMismatch("$.text: nothing but white space")
    case_id, patient = clean_term(note.case_id, "$.case_id"), _cleaned_patient(note.patient)
    if case_id is note.case_id and patient is note.patient:
        return note
    return replace(note, case_id=case_id, patient=patient)


def _cleaned_report(report: AdverseEvent) -> AdverseEvent:
    """The report itself if every term is spelled canonically already, as nearly all are; else a corrected copy."""
    narrative = report.narrative
    if narrative is not None:
        _check_text(narrative, "$.narrative")
        if narrative.isspace() or not narrative:
            narrative = None
    region = report.patient.region
    terms = [report.case_id, *[product.name for product in report.products], *report.events]
    for product in report.products:
        terms += [part or " " for part in (product.lot, product.manufacturer) if part is not None]
    if region is not None:
        terms.append(region or " ")
    if narrative is report.narrative and _all_plain(terms):
        return report
    return replace(
        report,
        case_id=clean_term(report.case_id, "$.case_id"),
        products=[_cleaned_product(product, f"$.products[{i}]") for i, product in enumerate(report.products)],
        events=[clean_term(event, f"$.events[{i}]") for i, event in enumerate(report.events)],
        patient=_cleaned_patient(report.patient),
        narrative=narrative,
    )


def _cleaned_product(product: Product, path: str) -> Product:
    lot, maker = product.lot, product.manufacturer
    return Product(
        clean_term(product.name, f"{path}.name"),
        product.role,
        clean_term(lot, f"{path}.lot") if lot and lot.strip() else None,
        clean_term(maker, f"{path}.manufacturer") if maker and maker.strip() else None,
    )


def _all_plain(terms: list[str]) -> bool:
    """Whether clean_term would change none of them, in a few passes over all at once; False may be wrong."""
    line = "~".join(terms)
    return (
        line.isascii()
        and line.isprintable()
        and "  " not in line
        and "~ " not in line
        and " ~" not in line
        and line[0] != " "
        and line[-1] != " "
    )


def _cleaned_patient(patient: Patient) -> Patient:
    region = patient.region
    if region is None or (region and _all_plain([region])):
        return patient
    return replace(patient, region=clean_term(region, "$.patient.region") if region.strip() else None)


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise SchemaMismatch(f"{path}: NUL character")
