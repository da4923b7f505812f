"""What a comparison of assessments and of alerts counts."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.diff.alerts import compare_alerts
from streams.diff.assessments import compare_assessments
from streams.diff.pairing import Found, Pairing
from streams.events import Alert, Assessment, DeadLetter, PairScore, Span, Table, Versions, encode

DRUGS, EVENTS = ["Ain", "Bin"], ["Cough", "Fever", "Rash"]
ALERT = Alert(
    id="x", monitor="m", drug="RV", event="Intussusception", kind="signal", level="early", state="raised", status="new",
    raised_at="1999-03-03", bucket=10, decided=10, cases=3, table=Table(5, 3, 10, 400, 0.06), statistic=30.0,
    threshold=20.0, measures={}, evidence=[], evidence_omitted=0, versions=Versions("h", "early", "v", None),
)  # fmt: skip

scores = st.dictionaries(
    st.tuples(st.sampled_from(range(2)), st.sampled_from(range(3))), st.integers(1, 1_000_000), max_size=4
)


def read(offset: int, pairs: dict[tuple[int, int], int], **changes: Any) -> Assessment:
    """A note read by a model, with words that must never be shown."""
    listed = [PairScore(d, e, micro, Span("SECRET", "WORDS")) for (d, e), micro in sorted(pairs.items())]
    return Assessment(
        "notes", 0, offset, offset, 0, f"SECRET-{offset}", 1, 0, DRUGS, EVENTS, [1, 1, 1], listed, **changes
    )


def beside(offset: int, a: Any, b: Any) -> Pairing:
    one, other = (None if record is None else Found(offset, record) for record in (a, b))
    return Pairing("notes", 0, offset, one, other)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(scores, scores), max_size=12), st.integers(0, 300_000))
def test_pairs_are_gained_lost_changed_or_the_same_and_the_largest_moves_come_first(
    messages: list[tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]], tolerance: int
) -> None:
    pairings = [beside(n, read(n, a), read(n, b)) for n, (a, b) in enumerate(messages)]
    found = compare_assessments(pairings, top=3, tolerance=tolerance / 1_000_000)
    table = [(n, key, a.get(key), b.get(key)) for n, (a, b) in enumerate(messages) for key in sorted({*a, *b})]
    gained = [row for row in table if row[2] is None]
    lost = [row for row in table if row[3] is None]
    both = [(row, abs(row[3] - row[2])) for row in table if row[2] is not None and row[3] is not None]
    changed = [row for row, move in both if move > tolerance]
    counts = {"gained": len(gained), "lost": len(lost), "changed": len(changed), "same": len(both) - len(changed)}
    assert found.pairs == {name: n for name, n in sorted(counts.items()) if n}
    assert sum(found.moves.values()) == len(changed)
    moved = {row[0] for row in (*gained, *lost, *changed)}
    assert (found.messages, found.same) == (len(messages), len(messages) - len(moved))
    assert found.differs == bool(moved)
    sizes = sorted((abs((row[3] or 0) - (row[2] or 0)) for row in (*gained, *lost, *changed)), reverse=True)
    assert [round(abs((m.b or 0) - (m.a or 0)) * 1_000_000) for m in found.moved] == sizes[:3]
    assert b"SECRET" not in encode(found)
    assert b"WORDS" not in encode(found)


def test_outcomes_models_and_other_fields_are_counted_by_name() -> None:
    plain = read(0, {(0, 0): 5})
    dead = DeadLetter("notes", 0, 0, 0, "too_large")
    found = compare_assessments([
        beside(0, msgspec.structs.replace(plain, model="old"), msgspec.structs.replace(plain, model="new")),
        beside(1, plain, dead),
        beside(2, dead, None),
        beside(3, plain, msgspec.structs.replace(plain, stratum=2, received_at=9)),
        beside(4, dead, dead),
        Pairing("notes", 0, 5, Found(5, plain), None, waits=True),
    ])  # fmt: skip
    assert (found.messages, found.same, found.waiting_a, found.waiting_b) == (5, 2, 0, 1)
    assert found.outcomes == {"assessed -> dead letter: too_large": 1, "dead letter: too_large -> no record": 1}
    assert found.fields == {"received_at": 1, "stratum": 1}
    assert found.models_a == {"no model": 2, "old": 1}
    assert found.models_b == {"new": 1, "no model": 1}


def test_a_tolerance_covers_events_without_a_pair_too() -> None:
    a = read(0, {(0, 0): 500_000})
    b = msgspec.structs.replace(a, scores=[1, 1, 3_000])
    assert compare_assessments([beside(0, a, b)]).fields == {"events": 1}
    assert not compare_assessments([beside(0, a, b)], tolerance=0.01).differs


def test_alerts_are_compared_by_pair_in_their_newest_revision_up_to_a_bucket() -> None:
    def alert(drug: str, bucket: int, **changes: Any) -> Alert:
        return msgspec.structs.replace(ALERT, id=str(id(changes)), drug=drug, bucket=bucket, **changes)

    ours = [alert("A", 3), alert("A", 8, state="updated", cases=9), alert("B", 4), alert("C", 5), alert("C", 20)]
    theirs = [alert("A", 3), alert("A", 7, state="updated", cases=7, level="strong"), alert("C", 5), alert("D", 6),
              alert("E", 6, state="provisional"), alert("B", 21)]  # fmt: skip
    found = compare_alerts(ours, theirs, until=10)
    assert found.same == 1
    assert [alert.drug for alert in found.only_a] == ["B"]
    assert [alert.drug for alert in found.only_b] == ["D"]
    assert [(c.drug, c.fields) for c in found.changed] == [("A", {"level": ["early", "strong"], "cases": [9, 7]})]
    assert found.differs
    assert not compare_alerts(ours, reversed(ours)).differs
