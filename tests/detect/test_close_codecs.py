"""What a close writes can be read back, byte for byte, and a newer layout is refused."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.alarms import Alerted
from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.drugstate import DrugState
from streams.detect.memory import Memory, decode_memory, encode_memory
from streams.detect.reference import ReferenceWindow
from streams.detect.totals import BucketTotals, pair_scores
from streams.errors import SchemaTooNew, StateConflict
from streams.signals.gps import Prior
from tests.detect.cases import RULE, Kept, Stream, streams

laws = settings(deadline=None, max_examples=50)


@laws
@given(streams())
def test_states_totals_and_memory_survive_their_bytes(stream: Stream) -> None:
    detector, kept = Detector.restore(RULE), Kept()
    for bucket, cases in stream:
        delta = kept.close(detector, bucket, cases)
        assert BucketTotals.decode(delta.totals_blob) == delta.totals
        assert decode_memory(delta.memory_blob) == delta.memory
        for state in delta.states.values():
            again = DrugState.decode(state.encode())
            assert again.encode() == state.encode()
            for name in ("statistics", "strong", "score", "expected", "days", "last_day"):
                assert np.array_equal(getattr(again, name), getattr(state, name))
            assert [s.number for s in again.snapshots] == [s.number for s in state.snapshots]


@laws
@given(streams())
def test_totals_without_a_case_are_as_if_it_had_never_been_added(stream: Stream) -> None:
    cases = [case for _, found in stream for case in found]
    totals = BucketTotals.of(1, cases)
    for case in cases[1::2]:
        totals.remove(case)
    assert totals == BucketTotals.of(1, cases[::2])
    assert totals.encode() == BucketTotals.of(1, cases[::2]).encode()


@laws
@given(streams(), st.integers(1, 12))
def test_a_window_kept_by_adding_and_subtracting_equals_one_summed_anew(stream: Stream, width: int) -> None:
    window = ReferenceWindow(width=width, strata=2)
    for k, (bucket, cases) in enumerate(stream):
        window.advance(BucketTotals.of(bucket, cases))
        inside = [c for b, found in stream[: k + 1] if b > bucket - width for c in found]
        whole = BucketTotals.of(bucket, inside)
        assert window.cases.tolist() == [whole.cases[s] for s in range(2)]
        assert {d: row.tolist() for d, row in window.drugs.items()} == {
            d: [cells.get(s, 0) for s in range(2)] for d, cells in whole.drugs.items()
        }
        for event, column in window.index.items():
            assert window.scores[:, column].tolist() == [whole.events.get(event, {}).get(s, 0) for s in range(2)]
        for drug in ("A", "B", "C"):
            ours = {(window.events[e], s): micro for (e, s), micro in window.pairs.get(drug, {}).items()}
            assert ours == {(e, s): m for e, cells in whole.pairs.get(drug, {}).items() for s, m in cells.items()}


def test_a_pair_named_twice_in_a_case_counts_once_with_its_best_score() -> None:
    case = Contribution(
        ("t", 0, 0), 0, "1", 1, 0, ("A",), ("x", "y"), (900_000, 1), ((0, 0, 5, "a", "b"), (0, 0, 900_000, "c", "d"))
    )
    assert list(pair_scores(case)) == [("A", "x", 900_000)]


def test_memory_with_everything_in_it_survives() -> None:
    memory = Memory(
        5, -3, 4, Prior(1, 2, 3, 4, 0.5), 0, {("B", "x"): Alerted(1, 2, 3.5), ("A", "é"): Alerted(0, 2, 1.0, "strong")}
    )
    assert decode_memory(encode_memory(memory)) == memory


@pytest.mark.parametrize("decode", [BucketTotals.decode, DrugState.decode, decode_memory])
def test_a_layout_of_a_newer_vigilia_is_refused(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(SchemaTooNew, match="layout 99"):
        decode(msgspec.msgpack.encode([99, {"something": "else"}]))


def test_a_window_does_not_go_back() -> None:
    window = ReferenceWindow(width=3, strata=1)
    window.advance(BucketTotals(4))
    with pytest.raises(StateConflict, match="bucket 4 closed after bucket 4"):
        window.advance(BucketTotals(4))
