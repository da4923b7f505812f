from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from streams.detect.deduplication import Message, case_key, decide, keys_of
from streams.events import MICRO, Assessment

HORIZON = 3


@st.composite
def messages(draw: st.DrawFn) -> list[Message]:
    keys = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1, max_size=2, unique=True)
    drawn = draw(st.lists(st.tuples(st.integers(0, 8), keys), max_size=10))
    return [Message(bucket, ("r", 0, i), tuple(held)) for i, (bucket, held) in enumerate(drawn)]


@given(messages())
def test_a_message_counts_iff_no_smaller_one_within_the_horizon_shares_a_key(log: list[Message]) -> None:
    outcome = decide(log, HORIZON)
    for m in log:
        rivals = {
            q.position
            for q in log
            if (q.bucket, q.position) < (m.bucket, m.position)
            and m.bucket - q.bucket <= HORIZON
            and set(q.keys) & set(m.keys)
        }
        found = outcome[m.position]
        assert found in rivals if rivals else found is None


@given(messages(), st.randoms())
def test_the_order_of_arrival_does_not_matter(log: list[Message], random: Random) -> None:
    shuffled = list(log)
    random.shuffle(shuffled)
    assert decide(shuffled, HORIZON) == decide(log, HORIZON)


def test_losers_hold_their_keys() -> None:
    """A and B share the case, B and C a fingerprint: C is a duplicate of B, which does not count itself."""
    log = [
        Message(0, ("r", 0, 0), (b"1", b"x")),
        Message(0, ("r", 0, 1), (b"1", b"y")),
        Message(0, ("r", 0, 2), (b"3", b"y")),
    ]
    assert decide(log, HORIZON) == {("r", 0, 0): None, ("r", 0, 1): ("r", 0, 0), ("r", 0, 2): ("r", 0, 1)}


def test_a_case_counts_again_beyond_the_horizon() -> None:
    log = [Message(b, ("r", 0, b), (b"1",)) for b in (0, 3, 7)]
    assert decide(log, HORIZON) == {("r", 0, 0): None, ("r", 0, 3): ("r", 0, 0), ("r", 0, 7): None}


def test_case_keys_are_of_their_topic_and_say_nothing_of_the_case() -> None:
    assert case_key("reports", "x") != case_key("notes", "x")
    assert case_key("ab", "c") != case_key("a", "bc")
    assert b"patient-7" not in case_key("reports", "patient-7")


def test_fingerprints_match_across_topics_and_are_held_once() -> None:
    def keys(topic: str, prints: list[str]) -> tuple[bytes, ...]:
        return keys_of(Assessment(topic, 0, 0, 0, 0, "x", 1, 0, ["d"], ["e"], [MICRO], None, prints))

    one, other = keys("reports", ["f", "g", "f"]), keys("notes", ["g"])
    assert len(one) == 3
    assert set(one) & set(other) == {other[1]}
    assert one[0] == case_key("reports", "x")
