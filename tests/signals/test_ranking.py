"""The rank of an alert follows from its record, rises with each of its terms, and is the same for every reader."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import Alert, EvidenceCase, Table, Versions, decode_alert, encode
from streams.signals.ranking import WEIGHTS, ranked


def a_case(number: int = 0, **facts: Any) -> EvidenceCase:
    return EvidenceCase(f"c{number}", "t", 0, number, 0, **facts)


PLAIN = Alert(
    id="i", monitor="m", drug="D", event="E", kind="signal", level="early", state="raised", status="update",
    raised_at="2020-01-01", bucket=1, decided=1, cases=4, table=Table(4, 1, 1, 1, 1.0), statistic=1, threshold=1,
    measures={"ic025": 0.0}, evidence=[a_case(i) for i in range(4)], evidence_omitted=0,
    versions=Versions("m", "r", "v", None), windows={"half_year": 2, "reference": 4},
)  # fmt: skip


def test_each_term_is_what_its_definition_says() -> None:
    evidence = [
        a_case(0, serious=True, completeness=0.8, narrative=True),
        a_case(1, serious=True, completeness=0.79),
        a_case(2, serious=False, completeness=1.0),
        a_case(3),
    ]
    alert = msgspec.structs.replace(PLAIN, status="new", measures={"ic025": 2.0}, evidence=evidence)
    found = ranked(alert)
    assert found.terms == {
        "strength": 0.75,
        "novelty": 1.0,
        "seriousness": 0.5,
        "recency": 0.5,
        "completeness": pytest.approx(2 / 3, abs=1e-4),
        "narratives": 0.5,
    }
    by_hand = 0.3 * 0.75 + 0.2 + 0.2 * 0.5 + 0.1 * 0.5 + 0.1 * 2 / 3 + 0.1 * 0.5
    assert found.score == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.parametrize(
    "better",
    [
        {"measures": {"ic025": 0.5}},
        {"measures": {"rate_ratio": 2.0}},
        {"status": "new"},
        {"evidence": [a_case(0, serious=True)]},
        {"evidence": [a_case(0), a_case(1, fatal=True)]},
        {"windows": {"half_year": 3, "reference": 4}},
        {"evidence": [a_case(0, completeness=0.9)]},
        {"evidence": [a_case(0, narrative=True)]},
    ],
)
def test_more_of_a_term_ranks_higher(better: dict[str, Any]) -> None:
    assert ranked(msgspec.structs.replace(PLAIN, **better)).score > ranked(PLAIN).score


@pytest.mark.parametrize("status", ["listed", "bystander", "non_reaction"])
def test_what_is_known_is_not_novel(status: str) -> None:
    assert ranked(msgspec.structs.replace(PLAIN, status=status)).terms["novelty"] == 0


@given(st.floats(-20, 40), st.lists(st.sampled_from([None, 0.2, 0.9]), max_size=9))
def test_a_score_and_its_terms_lie_between_0_and_1_and_survive_the_wire(bits: float, complete: list[Any]) -> None:
    evidence = [a_case(i, completeness=value, serious=value is None) for i, value in enumerate(complete)]
    alert = msgspec.structs.replace(PLAIN, measures={"ic025": bits}, evidence=evidence)
    found = ranked(alert)
    assert all(0 <= value <= 1 for value in (found.score, *found.terms.values()))
    assert ranked(decode_alert(encode(alert))) == found


def test_the_weights_share_out_one() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert WEIGHTS.keys() == ranked(PLAIN).terms.keys()
