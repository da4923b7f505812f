from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.alerts.revisions import Rank, Revision, behind, is_provisional, orphans

ranks = st.tuples(st.booleans(), st.integers(0, 5), st.booleans()).map(lambda r: (r[0], r[1], r[2] and not r[0]))
wanted = ranks.map(lambda r: (r[0], r[1], False))  # Redis never holds a withdrawal
topics = st.dictionaries(st.sampled_from("abc"), ranks)
states = st.dictionaries(st.sampled_from("abc"), wanted)
settled = st.none() | st.integers(-1, 6)


def publish(want: dict[str, Rank], view: dict[str, Rank], up_to: int | None) -> dict[str, Rank]:
    revisions = behind(want, view, up_to) + orphans(want, view, up_to)
    assert len({r.id for r in revisions}) == len(revisions), "an alert is not published twice at a time"
    return view | {r.id: r.rank for r in revisions}


@given(states, topics, settled)
def test_one_publication_brings_the_topic_up_to_redis(
    want: dict[str, Rank], view: dict[str, Rank], up_to: int | None
) -> None:
    after = publish(want, view, up_to)
    assert publish(want, after, up_to) == after
    for alert_id, rank in want.items():
        if rank[0]:
            assert after[alert_id] >= rank
    for alert_id, rank in after.items():
        if is_provisional(rank) and up_to is not None:
            assert rank[1] > up_to, "nothing provisional is left of a settled bucket"
        assert rank >= view.get(alert_id, rank), "the topic never goes back"


@given(states, topics, settled, topics)
def test_whatever_a_stale_publisher_puts_on_top_is_mended(
    want: dict[str, Rank], view: dict[str, Rank], up_to: int | None, stale: dict[str, Rank]
) -> None:
    disturbed = publish(want, view, up_to) | stale
    after = publish(want, disturbed, up_to)
    assert all(after[alert_id] >= rank for alert_id, rank in want.items() if rank[0])
    assert not any(is_provisional(r) and up_to is not None and r[1] <= up_to for r in after.values())


def test_a_later_provisional_alert_revives_a_withdrawn_one_and_an_older_does_not() -> None:
    view = {"a": (False, 7, True)}
    assert behind({"a": (False, 9, False)}, view, settled=8) == [Revision("a", (False, 9, False))]
    assert behind({"a": (False, 7, False)}, view, settled=6) == []


def test_a_provisional_alert_is_withdrawn_only_when_its_bucket_is_settled_and_redis_has_nothing_better() -> None:
    view = {"a": (False, 7, False)}
    assert orphans({}, view, settled=None) == orphans({}, view, settled=6) == []
    assert orphans({"a": (True, 7, False)}, view, settled=7) == []
    assert orphans({"a": (False, 9, False)}, view, settled=7) == []
    assert orphans({}, view, settled=7) == [Revision("a", (False, 7, True))]
