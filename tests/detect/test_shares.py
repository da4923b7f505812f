"""An open vocabulary: however it grows, the shares of all pairs together never exceed the budget's K."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.shares import Blocks, Reserve, factors, grown, pairs_in
from streams.detect.totals import BucketTotals
from tests.detect.cases import MICRO, RULE, Kept, Stream, streams, written

laws = settings(deadline=None, max_examples=100)
OPEN = replace(RULE, pairs=6, open_vocabulary=True)  # outgrown by any stream of three drugs and five events

growth = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12)


def vocabularies(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    sizes, drugs, events = [], 0, 0
    for more_drugs, more_events in steps:
        drugs, events = drugs + more_drugs, events + more_events
        sizes.append((drugs, events))
    return sizes


def shares(blocks: Blocks, drugs: int, events: int) -> np.ndarray:
    return np.array([1 / factors(blocks, drug, events) for drug in range(drugs)]).reshape(drugs, events)


@laws
@given(growth, st.integers(1, 3000))
def test_the_shares_of_all_pairs_never_exceed_k(steps: list[tuple[int, int]], pairs: int) -> None:
    blocks: Blocks = ()
    for drugs, events in vocabularies(steps):
        blocks = grown(blocks, drugs, events, pairs)
        given_out = shares(blocks, drugs, events)
        assert given_out.sum() <= pairs
        assert given_out.min(initial=1) > 0, "no pair is left out"
        assert sum(pairs_in(blocks)) == drugs * events


@laws
@given(growth, st.integers(1, 3000))
def test_a_share_once_given_never_changes(steps: list[tuple[int, int]], pairs: int) -> None:
    blocks: Blocks = ()
    before = np.ones((0, 0))
    for drugs, events in vocabularies(steps):
        blocks = grown(blocks, drugs, events, pairs)
        now = shares(blocks, drugs, events)
        assert np.array_equal(now[: before.shape[0], : before.shape[1]], before)
        before = now


@laws
@given(growth, st.integers(1, 3000), st.floats(0, 1), st.floats(1, 400))
def test_all_that_is_handed_out_in_n_buckets_stays_below_n_and_the_head_start(
    steps: list[tuple[int, int]], pairs: int, reserve: float, year: float
) -> None:
    rule = replace(RULE, pairs=pairs, reserve=reserve, buckets_per_year=year)
    blocks, grants, held = Blocks(), list[float](), None
    for n, (drugs, events) in enumerate(vocabularies(steps), 1):
        new = drugs - len(grants)
        grant, held = Reserve.after(held, new=new, drugs=drugs, rule=rule)
        grants += [grant] * new
        blocks = grown(blocks, drugs, events, pairs)
        each = rule.strong_head_start + n * rule.strong_injection + np.array(grants)[:, np.newaxis]
        assert (shares(blocks, drugs, events) * each).sum() <= (n + year) * (1 + 1e-9)


def test_half_of_k_pairs_have_the_whole_share() -> None:
    """By hand, K = 100: 50 at share 1, then 100 at 1/4, 200 at 1/16."""
    blocks = grown((), 5, 10, 100)
    assert pairs_in(blocks) == [50]
    blocks = grown(blocks, 5, 11, 100)
    assert pairs_in(blocks) == [50, 5]
    blocks = grown(blocks, 10, 15, 100)
    assert pairs_in(blocks) == [50, 100]
    blocks = grown(blocks, 10, 16, 100)
    assert pairs_in(blocks) == [50, 100, 10]
    assert factors(blocks, 0, 16).tolist() == [1] * 10 + [4] * 5 + [16]
    assert factors(blocks, 9, 16).tolist() == [4] * 15 + [16]


def case(drug: str, event: str, offset: int) -> Contribution:
    return Contribution(("t", 0, offset), 0, str(offset), 1, 0, (drug,), (event,), (MICRO,))


@laws
@given(streams(), streams())
def test_an_open_vocabulary_closes_alike_from_memory_and_from_what_was_kept(first: Stream, second: Stream) -> None:
    for stream in (first, second):
        detector, kept, rebuilt = Detector.restore(OPEN), Kept(), Kept()
        for bucket, cases in stream:
            again = rebuilt.restored(OPEN)
            assert written(rebuilt.close(again, bucket, cases)) == written(kept.close(detector, bucket, cases))


@laws
@given(streams())
def test_a_pair_fires_as_the_rule_says_but_at_its_own_threshold(stream: Stream) -> None:
    """Until something alarms M is the same for every share: a pair fires if M reaches c/share and all else holds."""
    closed_rule = replace(OPEN, open_vocabulary=False)
    detector, kept = Detector.restore(OPEN), Kept()
    for bucket, cases in stream:
        plain = kept.restored(closed_rule)
        totals = BucketTotals.of(bucket, cases)
        for one in (detector, plain):
            for drug in one.missing(totals):
                one.load(drug, kept.states[drug])
        ours, theirs = detector.evaluate(totals), plain.evaluate(totals)
        names = [*detector.drugs, *ours.new_drugs]
        expected = set()
        for fire in theirs.firing:
            by_event = factors(ours.blocks, names.index(fire.drug), ours.view.size)
            threshold = OPEN.threshold * by_event[ours.view.index(fire.event)]
            levels = (fire.early.statistic, threshold * OPEN.caution), (fire.strong.statistic, threshold)
            if any(value >= least for value, least in levels):
                expected.add((fire.drug, fire.event, *levels))
        assert {(f.drug, f.event, tuple(f.early), tuple(f.strong)) for f in ours.firing} == expected
        delta = kept.close(detector, bucket, cases)
        assert {(a.drug, a.event) for a in delta.alarms} == {fire[:2] for fire in expected}


def test_a_vocabulary_that_outgrows_k_goes_on_and_a_new_drug_still_alarms() -> None:
    """K is 8; when the planted drug comes 360 pairs are known. It falls into block 6 (8 * 127 / 2 = 508 pairs fit; 3
    drugs and 120 events: 252 fit into block 5), so it must reach 4^6 times the threshold, and does."""
    rule = replace(OPEN, pairs=8, min_cases=3, min_days=3, rho=2.0)
    detector, kept, offset = Detector.restore(rule), Kept(), 0
    for bucket in range(5):
        kept.close(detector, bucket, [case(f"d{i % 3}", f"e{i}", offset + i) for i in range(120)])
        offset += 120
    assert detector.watched == 360
    for bucket in range(5, 25):
        crowd = [case("d0", "e0", offset + 1 + i) for i in range(20)]
        delta = kept.close(detector, bucket, [case("new", "planted", offset), *crowd])
        offset += 21
        if delta.alarms:
            break
    (alarm,) = delta.alarms
    assert (alarm.drug, alarm.event) == ("new", "planted")
    assert detector.watched == 4 * 121
    caution = rule.caution if alarm.fired == "early" else 1.0
    assert alarm.threshold == pytest.approx(caution * rule.threshold * 4**6)
    assert alarm.statistic >= alarm.threshold


def test_the_shipped_default_is_open_for_text_alone() -> None:
    from streams.detect.rule import rule_of
    from streams.monitors import load_monitor

    assert rule_of(load_monitor("demo")).open_vocabulary
    assert not rule_of(load_monitor("vaers")).open_vocabulary
    assert rule_of(load_monitor("vaers", evidence="text")).open_vocabulary
    chosen = load_monitor("vaers", alarms={"vocabulary": "open"})
    assert rule_of(chosen).open_vocabulary
    with pytest.raises(Exception, match="vocabulary"):
        load_monitor("vaers", alarms={"vocabulary": "ajar"})
