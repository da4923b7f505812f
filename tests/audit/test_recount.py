"""The recount against rules written out by hand, and against the brute force of their wording."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.audit.recount import Outcome, pair_scores, recount
from streams.audit.tables import Tables
from streams.events import Assessment, AssessmentRecord, DeadLetter, Gap, PairScore, Tick
from streams.monitors import Monitor, Source

W = 10  # bucket width in ms; disorder 3, horizon 3 buckets, window 3 buckets
DAY = 86_400_000
MONITOR = Monitor(
    name="t",
    sources=(Source(topic="e", partitions=2), Source(topic="n", partitions=1)),
    bucket_ms=W * DAY,
    disorder_ms=3 * DAY,
    duplicate_horizon_days=3 * W,
)


def a_case(offset: int, day: int, case: str = "", lo: int | None = None, **fields: object) -> Assessment:
    values = {
        "topic": "e", "partition": 0, "lo": offset if lo is None else lo, "offset": offset, "received_at": day * DAY,
        "case_id": case or f"c{offset}", "version": 1, "stratum": 0, "drugs": ["D"], "events": ["E"],
        "scores": [1_000_000],
    }  # fmt: skip
    return Assessment(**{**values, **fields})  # type: ignore[arg-type]


def outcomes(*records: AssessmentRecord) -> list[tuple[object, ...]]:
    log = [(0, offset, record) for offset, record in enumerate(records)]
    return [(o.position[2], o.outcome, o.bucket) for o in recount(log, MONITOR).outcomes()]


def test_a_message_is_late_below_the_floor_and_counts_in_it() -> None:
    # After day 34 with a disorder of 3 days the floor is floor(31 / 10) = 3; after day 33 it is 3; after 32, 2.
    assert outcomes(a_case(0, 32), a_case(1, 25), a_case(2, 33), a_case(3, 25), a_case(4, 30)) == [
        (0, "counted", 3), (1, "counted", 2), (2, "counted", 3), (3, "counted late", 3), (4, "counted", 3)
    ]  # fmt: skip


def test_a_tick_moves_the_floor_only_if_it_knows_all_messages_before_it() -> None:
    tick = Tick("e", 0, at=1, received_at=50 * DAY)
    assert outcomes(a_case(0, 5), tick, a_case(1, 5))[1] == (1, "counted late", 4)
    assert outcomes(tick, a_case(0, 5), a_case(1, 5))[1] == (1, "counted", 0)


def test_a_record_counts_for_the_offsets_it_covers_once_and_in_its_turn() -> None:
    log = [
        a_case(4, 1, lo=0),  # offsets 0..3 were deleted or held no message
        a_case(4, 1),  # assess was restarted
        a_case(6, 1, lo=6),  # delivery of 5 had failed
        DeadLetter("e", 0, 5, 5, "unreadable"),
        a_case(6, 1, lo=6),
        Gap("e", 0, 7, 9),
    ]
    result = recount([(0, i, record) for i, record in enumerate(log)], MONITOR)
    assert [*result.outcomes()] == [
        Outcome(("e", 0, 4), "counted", 0),
        Outcome(("e", 0, 5), "dead letter", reason="unreadable"),
        Outcome(("e", 0, 6), "counted", 0),
        Outcome(("e", 0, 9), "gap", first=7),
    ]
    assert result.counters == {
        "counted": 2, "dead_letter:unreadable": 1, "gap": 1, "gap_offsets": 3, "repeated": 1, "beyond": 1
    }  # fmt: skip
    assert result.sources["e", 0] == (10, DAY)
    assert result.next == {0: 6}


def test_of_a_case_the_smallest_bucket_and_position_counts_whatever_came_first() -> None:
    assert outcomes(a_case(0, 12, "x"), a_case(1, 5, "x"), a_case(2, 11, "x")) == [
        (0, "duplicate", 1), (1, "counted", 0), (2, "duplicate", 1)
    ]  # fmt: skip


def test_a_loser_makes_duplicates_too_and_the_horizon_ends_them() -> None:
    first = a_case(0, 0, "x", fingerprints=["f"])
    loser = a_case(1, 25, "x", fingerprints=["g"])
    under_g = a_case(2, 55, "y", fingerprints=["g"])  # 3 buckets after the loser
    too_far = a_case(3, 95, "z", fingerprints=["g"])
    records = [(0, i, record) for i, record in enumerate((first, loser, under_g, too_far))]
    found = {o.position[2]: (o.outcome, o.of) for o in recount(records, MONITOR).outcomes()}
    assert found == {
        0: ("counted", None),
        1: ("duplicate", ("e", 0, 0)),
        2: ("duplicate", ("e", 0, 1)),
        3: ("counted", None),
    }


def test_the_same_case_id_on_two_topics_is_two_cases_but_a_fingerprint_is_shared() -> None:
    one, other = a_case(0, 5, "x"), a_case(0, 5, "x", topic="n")
    assert [o.outcome for o in recount([(0, 0, one), (0, 1, other)], MONITOR).outcomes()] == ["counted", "counted"]
    one, other = (a_case(0, 5, "x", fingerprints=["f"], topic=topic) for topic in ("n", "e"))
    assert [o.outcome for o in recount([(0, 0, one), (0, 1, other)], MONITOR).outcomes()] == ["counted", "duplicate"]


cases = st.lists(
    st.tuples(st.integers(0, 80), st.sampled_from("xyz"), st.sets(st.sampled_from("fgh")), st.integers(0, 2)),
    max_size=9,
)


@given(cases)
def test_deduplication_is_the_wording_of_its_rule(drawn: list[tuple[int, str, set[str], int]]) -> None:
    offsets = [0, 0, 0]
    log = []
    for number, (day, case, prints, source) in enumerate(drawn):
        topic, partition = MONITOR.roster[source]
        at, offsets[source] = offsets[source], offsets[source] + 1
        record = a_case(at, day, case, fingerprints=sorted(prints), topic=topic, partition=partition)
        log.append((partition, number, record))
    found = recount(log, MONITOR)

    def keys(record: Assessment) -> set[tuple[str, ...]]:
        return {("id", record.topic, record.case_id)} | {("fp", f) for f in record.fingerprints}

    for case in found.cases:
        smaller = [
            other.position
            for other in found.cases
            if (other.bucket, other.position) < (case.bucket, case.position)
            and case.bucket - other.bucket <= 3
            and keys(case.record) & keys(other.record)
        ]
        assert (case.of is None) == (not smaller)
        assert case.of is None or case.of in smaller
    assert found.counters.total() == len(drawn)


def test_a_pair_named_twice_has_its_larger_score_and_one_of_zero_is_none() -> None:
    coded = a_case(0, 0, drugs=["A", "B"], events=["E", "F"], scores=[1_000_000, 0])
    assert pair_scores(coded) == {("A", "E"): 1_000_000, ("B", "E"): 1_000_000}
    pairs = [PairScore(0, 0, 400_000), PairScore(0, 0, 900_000), PairScore(1, 1, 0)]
    read = a_case(0, 0, drugs=["A", "B"], events=["E", "F"], scores=[900_000, 0], pairs=pairs)
    assert pair_scores(read) == {("A", "E"): 900_000}


def test_a_table_is_counted_within_the_window_and_expects_within_strata() -> None:
    """Worked by hand: window of 730 days = 73 buckets of 10 days, ending with bucket 73; bucket 0 is outside.

    Stratum 0: N = 2, n(D) = 1, m(E) = 1.5; stratum 1: N = 2, n(D) = 2, m(E) = 1. Expected = 1*1.5/2 + 2*1/2 = 1.75.
    """
    drawn = [
        (1, 0, ["D"], ["E"], [1_000_000]),
        (15, 0, ["D"], ["E"], [500_000]),
        (20, 0, ["F"], ["E"], [1_000_000]),
        (25, 1, ["D", "F"], ["E"], [1_000_000]),
        (735, 1, ["D"], ["G"], [1_000_000]),
        (745, 1, ["D"], ["E"], [1_000_000]),
    ]
    log = [
        (0, i, a_case(i, day, stratum=stratum, drugs=drugs, events=events, scores=scores))
        for i, (day, stratum, drugs, events, scores) in enumerate(drawn)
    ]
    pair = Tables(recount(log, MONITOR), MONITOR).pair("D", "E", 73)
    assert (pair.table.a, pair.table.b, pair.table.c, pair.table.d) == (1.5, 1.5, 1.0, 0.0)
    assert pair.table.expected == 1.75
    assert pair.cases == {("e", 0, 1), ("e", 0, 3)}


def test_the_totals_of_a_bucket_are_sums_over_its_counted_cases() -> None:
    log = [
        (0, 0, a_case(0, 1, "x", drugs=["A", "B"], events=["E"], scores=[1_000_000])),
        (0, 1, a_case(1, 2, "x", drugs=["A"], events=["E"], scores=[1_000_000])),
        (0, 2, a_case(2, 2, "y", stratum=1, drugs=["A"], events=["E"], scores=[250_000])),
    ]
    assert recount(log, MONITOR).totals() == {
        0: {
            ("N", 0): 1, ("N", 1): 1, ("n", "A", 0): 1, ("n", "B", 0): 1, ("n", "A", 1): 1,
            ("m", "E", 0): 1_000_000, ("m", "E", 1): 250_000,
            ("S", "A", "E", 0): 1_000_000, ("S", "B", "E", 0): 1_000_000, ("S", "A", "E", 1): 250_000,
        }
    }  # fmt: skip
