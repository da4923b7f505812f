"""One message to its record: what is counted, what is refused, what a text adds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.assess.assessor import RETRY_HEADER, Assessor, Draft, Origin, stratum_of
from streams.assess.text import TextReading
from streams.errors import PoisonInput
from streams.events import Assessment, DeadLetter, PairScore, Span, Uncertain, decode_record, encode
from streams.monitors import Monitor, Source, TextSettings

NOW = 1_700_000_000_000
ORIGIN = Origin("reports", 3, 5, 7, NOW)


def assessor(**monitor: Any) -> Assessor:
    return Assessor(Monitor(name="m", sources=(Source(topic="reports"),), **monitor), b"key")


def report(**fields: Any) -> bytes:
    return msgspec.json.encode(
        {
            "type": "adverse_event",
            "case_id": "C1",
            "products": [
                {"name": "Warfarin"},
                {"name": "Aspirin 100 mg", "role": "interacting"},
                {"name": "Insulin", "role": "concomitant"},
            ],
            "events": ["Seizures", "Bleeding", "Bleeding"],
            "received_at": NOW - 1000,
            "patient": {"age_years": 70},
            **fields,
        }
    )


def note(text: str) -> bytes:
    return msgspec.json.encode({"type": "clinical_note", "case_id": "N1", "text": text, "received_at": NOW})


def test_coded_pairs_are_of_blamed_products_and_keep_their_spelling() -> None:
    record = assessor().assess(ORIGIN, report(), None)
    assert isinstance(record, Assessment)
    assert (record.topic, record.partition, record.lo, record.offset) == ("reports", 3, 5, 7)
    assert record.drugs == ["Aspirin 100 mg", "Warfarin"]
    assert record.events == ["Bleeding", "Seizures"]
    assert (record.scores, record.pairs) == ([1_000_000] * 2, None)
    assert (record.received_at, record.stratum, record.model) == (NOW - 1000, 3, None)
    assert decode_record(encode(record)) == record


def test_without_a_received_at_the_records_own_time_counts() -> None:
    record = assessor().assess(ORIGIN, report(received_at=None), None)
    assert isinstance(record, Assessment)
    assert record.received_at == NOW


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "unreadable"),
        (b"", "unreadable"),
        (b"{", "unreadable"),
        (report(received_at=NOW + 86_400_001), "future_timestamp"),
        (report(products=[]), "schema_mismatch"),
        (report(type="letter"), "unknown_format"),
        (report(narrative="x" * 2000), "too_large"),
    ],
)
def test_what_can_not_be_used_is_a_dead_letter_with_its_reason(value: bytes | None, reason: str) -> None:
    record = assessor(max_message_bytes=1500).assess(ORIGIN, value, None)
    assert isinstance(record, DeadLetter)
    assert (record.topic, record.partition, record.lo, record.offset) == ("reports", 3, 5, 7)
    assert (record.reason, record.timestamp) == (reason, NOW)
    assert record.detail


@given(st.binary(max_size=300))
def test_any_bytes_give_a_record(value: bytes) -> None:
    record = assessor().assess(ORIGIN, value, [("k", value)])
    assert decode_record(encode(record)) == record


@pytest.mark.parametrize(("age", "stratum"), [(None, 4), (0, 0), (0.99, 0), (1, 1), (6, 2), (17.9, 2), (18, 3)])
def test_ages_fall_in_their_stratum(age: float | None, stratum: int) -> None:
    assert stratum_of(age, (1, 6, 18)) == stratum


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (b"reports/0/17", "reports/0/17"),
        (b"Jane Doe/0/17", None),
        (b"reports/0/17 Jane", None),
        (b"", None),
        (None, None),
        (b"reports/-1/3", None),
    ],
)
def test_only_coordinates_are_copied_from_the_retry_header(header: bytes | None, kept: str | None) -> None:
    for value in (report(), b"bad"):
        record = assessor().assess(ORIGIN, value, [("other", b"x"), (RETRY_HEADER, header)])
        assert not isinstance(record, Draft)
        assert record.retry_of == kept


# ---------------------------------------------------------------- texts

READING = TextReading(
    drugs=["aspirin", "warfarin"],
    events=["bleeding", "rash"],
    scores=[600_000, 700_000],
    pairs=[
        PairScore(0, 1, 700_000, Span("ASA", "rash")),
        PairScore(1, 0, 600_000, Span("warfarin", "bled")),
    ],
)


def draft(evidence: str, value: bytes) -> Draft:
    found = assessor(evidence=evidence).assess(ORIGIN, value, None)
    assert isinstance(found, Draft)
    return found


def test_text_evidence_takes_the_text_alone() -> None:
    record = draft("text", report(narrative="He bled.")).record(READING, "model@1")
    assert (record.drugs, record.events, record.scores) == (READING.drugs, READING.events, READING.scores)
    assert (record.pairs, record.model) == (READING.pairs, "model@1")
    bare = assessor(evidence="text").assess(ORIGIN, report(), None)
    assert isinstance(bare, Assessment)
    assert (bare.drugs, bare.events) == ([], [])


def test_narrative_evidence_takes_a_reports_products_and_leaves_its_events_to_the_narrative() -> None:
    watching = assessor(evidence="narrative")
    draft = watching.assess(ORIGIN, report(narrative="A seizure next day."), None)
    assert isinstance(draft, Draft)
    assert (draft.text, draft.products) == ("A seizure next day.", ["aspirin", "warfarin"])
    reading = TextReading(
        ["aspirin", "warfarin"],
        ["seizure"],
        [900_000],
        [PairScore(0, 0, 900_000, Span("", "seizure")), PairScore(1, 0, 900_000, Span("", "seizure"))],
    )
    record = draft.record(reading, "m@1")
    assert (record.drugs, record.events, record.scores) == (["aspirin", "warfarin"], ["seizure"], [900_000])
    assert record.pairs == reading.pairs
    silent = watching.assess(ORIGIN, report(), None)
    assert isinstance(silent, Assessment)
    assert (silent.drugs, silent.events) == (["aspirin", "warfarin"], [])
    told = watching.assess(ORIGIN, note("He had a rash from aspirin."), None)
    assert isinstance(told, Draft)
    assert told.products is None


def test_both_kinds_of_evidence_are_joined_and_the_larger_score_of_a_pair_counts() -> None:
    """Coded: {aspirin, warfarin} x {bleeding, seizure} at 1. Read: aspirin-rash 0.7, warfarin-bleeding 0.6."""
    record = draft("both", report(narrative="He bled.")).record(READING, "model@1")
    assert record.drugs == ["aspirin", "warfarin"]
    assert record.events == ["bleeding", "rash", "seizure"]
    assert record.scores == [1_000_000, 700_000, 1_000_000]
    assert record.pairs is not None
    assert {(pair.drug, pair.event): pair.micro for pair in record.pairs} == {
        (0, 0): 1_000_000,
        (0, 1): 700_000,
        (0, 2): 1_000_000,
        (1, 0): 1_000_000,
        (1, 2): 1_000_000,
    }
    assert [pair.span for pair in record.pairs if (pair.drug, pair.event) == (1, 0)] == [Span("warfarin", "bled")]
    assert decode_record(encode(record)) == record


def test_a_text_without_pairs_leaves_the_coded_record_as_it_was() -> None:
    record = draft("both", report(narrative="Fine.")).record(TextReading([], [], [], []), "model@1")
    assert (record.drugs, record.events, record.pairs) == (["aspirin", "warfarin"], ["bleeding", "seizure"], None)
    assert record.model == "model@1"


@pytest.mark.parametrize("pairs", [READING, TextReading([], [], [], [])])
def test_uncertain_sentences_are_in_the_record_by_their_place_whether_or_not_a_pair_is(pairs: TextReading) -> None:
    uncertain = [Uncertain(0, 8, 300_000), Uncertain(20, 30, 550_000, counted=True)]
    reading = TextReading(pairs.drugs, pairs.events, pairs.scores, pairs.pairs, uncertain)
    for evidence in ("text", "both"):
        record = draft(evidence, report(narrative="He bled.")).record(reading, "model@1")
        assert record.uncertain == uncertain
        assert decode_record(encode(record)) == record
        plain = draft(evidence, report(narrative="He bled.")).record(pairs, "model@1")
        assert msgspec.structs.replace(record, uncertain=[]) == plain
        assert b"uncertain" not in encode(plain)


def test_what_an_uncertain_sentence_counts_is_part_of_the_settings_that_alerts_name() -> None:
    def hashed(**text: Any) -> str:
        return Monitor(name="m", sources=(Source(topic="t"),), text=TextSettings(**text)).settings_hash

    hashes = {hashed(), hashed(uncertain="leave_out"), hashed(error_rate=0.1), hashed(threshold=0.4)}
    assert len(hashes) == 4
    assert hashed(uncertain="count", error_rate=0.05, threshold=0.5) in hashes


def test_a_note_for_a_monitor_of_coded_evidence_counts_as_a_case_without_pairs() -> None:
    record = assessor().assess(ORIGIN, note("Aspirin caused rash."), None)
    assert isinstance(record, Assessment)
    assert (record.drugs, record.events, record.pairs) == ([], [], None)


def test_a_text_that_breaks_the_model_is_a_dead_letter_that_quotes_nothing() -> None:
    letter = draft("text", note("Jane Doe bled.")).dead_letter(ORIGIN, PoisonInput("Jane Doe bled."))
    assert (letter.reason, letter.lo, letter.offset) == ("poison_input", 5, 7)
    assert b"Jane" not in encode(letter)
