"""Laws of the pure close, on random streams."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaincinv

from streams.detect.close import Detector
from streams.detect.contribution import Contribution
from streams.detect.totals import BucketTotals, pair_scores
from streams.errors import ConfigurationError, StateConflict, TooManyPairs
from streams.signals.rule import AlarmRule
from tests.detect.cases import EVENTS, MICRO, RULE, Kept, PairName, Stream, streams, written

laws = settings(deadline=None, max_examples=50)
RULES = st.sampled_from([RULE, replace(RULE, exclude_own=True), replace(RULE, coded=False)])


def case(drugs: str, events: list[str], stratum: int = 0, offset: int = 0) -> Contribution:
    names = tuple(sorted(events))
    return Contribution(("t", 0, offset), 0, str(offset), 1, stratum, tuple(drugs), names, (MICRO,) * len(names))


@laws
@given(streams(), st.randoms(use_true_random=False), RULES)
def test_the_order_of_cases_within_a_bucket_does_not_matter(
    stream: Stream, order: random.Random, rule: AlarmRule
) -> None:
    first, second = Detector.restore(rule), Detector.restore(rule)
    one, other = Kept(), Kept()
    for bucket, cases in stream:
        shuffled = order.sample(cases, len(cases))
        assert written(one.close(first, bucket, cases)) == written(other.close(second, bucket, shuffled))


@laws
@given(streams(), RULES)
def test_a_detector_rebuilt_from_what_was_kept_closes_alike(stream: Stream, rule: AlarmRule) -> None:
    detector, kept, rebuilt = Detector.restore(rule), Kept(), Kept()
    for bucket, cases in stream:
        again = rebuilt.restored(rule)
        assert written(rebuilt.close(again, bucket, cases)) == written(kept.close(detector, bucket, cases))


@laws
@given(streams(), RULES)
def test_an_event_that_appears_late_is_as_if_it_had_been_known_from_the_start(stream: Stream, rule: AlarmRule) -> None:
    growing, dense = Detector.restore(rule), Detector.restore(rule, events=EVENTS)
    one, other = Kept(), Kept()
    for bucket, cases in stream:
        found, known = one.close(growing, bucket, cases), other.close(dense, bucket, cases)
        assert found.alarms == known.alarms
        for drug, state in found.states.items():
            columns = [dense.window.index[event] for event in growing.window.events]
            for name in ("statistics", "strong", "score", "expected", "days", "last_day"):
                ours, theirs = getattr(state, name), getattr(known.states[drug], name)
                assert np.array_equal(ours[..., :-1], theirs[..., columns]), (drug, name)
                assert np.array_equal(ours[..., -1], theirs[..., -1]), (drug, name)


@laws
@given(streams())
def test_evaluating_changes_nothing_and_part_of_it_is_part_of_the_whole(stream: Stream) -> None:
    detector, kept = Detector.restore(RULE), Kept()
    for bucket, cases in stream:
        totals = BucketTotals.of(bucket, cases)
        whole = detector.evaluate(totals)
        for drug in totals.drugs:
            part = detector.evaluate(totals, only={drug})
            assert part.states.keys() == {drug}
            assert part.states[drug].encode() == whole.states[drug].encode()
            assert part.firing == [fire for fire in whole.firing if fire.drug == drug]
        later = detector.evaluate(BucketTotals.of(bucket + 9, cases))  # an open bucket further on
        detector.judge(later, {})
        untouched, other = kept.restored(RULE), copy.deepcopy(kept)
        assert written(kept.close(detector, bucket, cases)) == written(other.close(untouched, bucket, cases))


@laws
@given(streams(), st.integers(0, 8))
def test_a_fork_and_what_it_was_forked_from_go_on_apart(stream: Stream, at: int) -> None:
    at = min(at, len(stream) - 1)
    detector, kept = Detector.restore(RULE), Kept()
    for bucket, cases in stream[:at]:
        kept.close(detector, bucket, cases)
    fork, forked, alone = detector.fork(), copy.deepcopy(kept), copy.deepcopy(kept)
    undisturbed = alone.restored(RULE)
    other = [(bucket, cases[:1]) for bucket, cases in stream[at:]]
    for (bucket, cases), (_, fewer) in zip(stream[at:], other, strict=True):
        forked.close(fork, bucket, fewer)
        assert written(kept.close(detector, bucket, cases)) == written(alone.close(undisturbed, bucket, cases))
    anew = forked.restored(RULE).window
    assert fork.window.pairs == anew.pairs
    assert {drug: n.tolist() for drug, n in fork.window.drugs.items()} == {d: n.tolist() for d, n in anew.drugs.items()}
    assert np.array_equal(fork.window.cases, anew.cases)
    assert np.array_equal(fork.window.scores, anew.scores)


class Eager:
    """A naive detector: every pair of a drug once seen in every bucket, plain floats, windows summed anew."""

    def __init__(self, rule: AlarmRule) -> None:
        self.rule = rule
        self.stream: Stream = []
        self.values: dict[PairName, list[float]] = {}
        self.strong: dict[PairName, list[float]] = {}
        self.history: dict[PairName, list[tuple[int, float, float]]] = {}
        self.reserve = rule.reserve * rule.buckets_per_year
        self.granted: dict[str, float] = {}

    def close(self, bucket: int, cases: list[Contribution]) -> dict[PairName, float] | None:
        """The pairs that alarm, with their statistic; None if a last bit decides one of them."""
        before = {drug for _, found in self.stream for c in found for drug in c.drugs}
        self.stream.append((bucket, cases))
        self.grant(before, {drug for c in cases for drug in c.drugs})
        fired: dict[PairName, float] = {}
        for drug in "ABC":
            if any(drug in c.drugs for _, found in self.stream for c in found):
                for event in EVENTS:
                    statistic = self.step(drug, event, bucket, cases)
                    if statistic == "unclear":
                        return None
                    if isinstance(statistic, float):
                        fired[drug, event] = statistic
        return fired

    def grant(self, before: set[str], named: set[str]) -> None:
        """Half of the reserve to the drugs that are new after the burn-in, each pair D/K of its drug's part."""
        (first, _), (bucket, _) = self.stream[0], self.stream[-1]
        if bucket - first < self.rule.burn_in:
            return
        new = named - before
        if new:
            self.reserve /= 2
            parts = self.reserve / len(new) * len(before | named) / self.rule.pairs
            self.granted.update(dict.fromkeys(new, parts))
        self.reserve += self.rule.reserve

    def step(self, drug: str, event: str, bucket: int, cases: list[Contribution]) -> float | str | None:
        rule, pair = self.rule, (drug, event)
        kept = 1 - rule.reserve
        strong = self.strong.setdefault(pair, [kept * rule.head_start + self.granted.get(drug, 0.0)] * 7)
        values = self.values.setdefault(pair, [rule.head_start] * 6)
        past = self.history.setdefault(pair, [])
        expected = self.expected(drug, event, bucket, cases)
        score = self.score(cases, drug, event)
        past.append((bucket, score, expected))
        if bucket - self.stream[0][0] < rule.burn_in:
            return None
        old = (bucket - rule.past) // rule.snapshot * rule.snapshot
        beta = rule.past_prior + sum(e for b, _, e in past if b < old)
        alpha = max(beta, rule.past_prior + sum(s for b, s, _ in past if b < old))
        x, rho = min(score, rule.score_cap), rule.rho
        for i, theta in enumerate(rule.thetas):
            values[i] *= theta**x * ((beta + rho * expected) / (beta + theta * rho * expected)) ** (alpha + x)
            values[i] += rule.injection
        statistic = sum(values) / 6
        for i, theta in enumerate(rule.strong_thetas):
            strong[i] = strong[i] * self.likelihood(drug, event, cases, theta) + kept * rule.injection
        proven = sum(w * value for w, value in zip(rule.strong_weights, strong, strict=True))
        since = (bucket - rule.recent) // rule.snapshot * rule.snapshot
        recent = [(s, e) for b, s, e in past if b >= since]
        cases_w, expected_w = sum(s for s, _ in recent), sum(e for _, e in recent)
        bound = gammaincinv(0.5 + cases_w, 0.05) / (0.5 + alpha / beta * expected_w)
        gates = ((bound, rho), (cases_w, rule.min_cases))
        levels = ((statistic, rule.caution * rule.threshold), (proven, rule.threshold))
        if any(0 < abs(value / limit - 1) < 1e-9 for value, limit in (*gates, *levels)):
            return "unclear"
        if not score or any(value < limit for value, limit in gates):
            return None
        early, surely = (value >= limit for value, limit in levels)
        if early:
            self.values[pair] = [0.0] * 6
        if surely:
            self.strong[pair] = [0.0] * 7
        return proven if surely else statistic if early else None

    def likelihood(self, drug: str, event: str, cases: list[Contribution], theta: float) -> float:
        """L of level strong in the bucket."""
        result = 1.0
        for stratum in range(2):
            here = [c for c in cases if c.stratum == stratum]
            n = sum(drug in c.drugs for c in here)
            m = sum(x for c in here for e, x in zip(c.events, c.scores, strict=True) if e == event) / MICRO
            if n and m:
                bounds = [(1 + (theta - 1) * m / len(here)) ** n, (1 + (theta - 1) * n / len(here)) ** m]
                result *= theta ** self.score(here, drug, event) / min(bounds[: 1 + self.rule.coded])
        return result

    def score(self, cases: list[Contribution], drug: str, event: str) -> float:
        return sum(x for c in cases for d, e, x in pair_scores(c) if (d, e) == (drug, event)) / MICRO

    def expected(self, drug: str, event: str, bucket: int, cases: list[Contribution]) -> float:
        rule = self.rule
        window = [c for b, found in self.stream if b > bucket - rule.window for c in found]
        total, m = [], []
        for stratum in range(2):
            here = [c for c in window if c.stratum == stratum]
            events = sum(x for c in here for e, x in zip(c.events, c.scores, strict=True) if e == event) / MICRO
            if rule.exclude_own:
                events = max(0.0, events - self.score(here, drug, event))
                here = [c for c in here if drug not in c.drugs]
            total.append(len(here))
            m.append(events)
        p = (sum(m) + 0.5) / (sum(total) + 1)
        n = [sum(drug in c.drugs and c.stratum == s for c in cases) for s in range(2)]
        prior = rule.stratum_prior
        rates = [(m[s] + prior * p) / (total[s] + prior) for s in range(2)]
        lately = [c for b, found in self.stream if b > bucket - rule.concurrent for c in found]
        others, foreseen = 0.0, rule.concurrent_prior
        for s in range(2):
            here = [c for c in lately if c.stratum == s]
            others += sum(x for c in here for e, x in zip(c.events, c.scores, strict=True) if e == event) / MICRO
            others -= self.score(here, drug, event)
            foreseen += sum(drug not in c.drugs for c in here) * rates[s]
        surge = max(1.0, (rule.concurrent_prior + others) / foreseen)
        return surge * sum(n[s] * rates[s] for s in range(2))


@laws
@given(streams(), RULES)
def test_lazy_incremental_state_equals_an_eager_naive_detector(stream: Stream, rule: AlarmRule) -> None:
    detector, kept, plain = Detector.restore(rule), Kept(), Eager(rule)
    for bucket, cases in stream:
        alarms = {(a.drug, a.event): a.statistic for a in kept.close(detector, bucket, cases).alarms}
        expected = plain.close(bucket, cases)
        if expected is None:
            return
        assert alarms == pytest.approx(expected, rel=1e-9)
        for drug in detector.drugs:
            state = detector.state(drug)
            assert state is not None
            waited = detector.memory.monitored - state.ordinal
            for event, column in detector.window.index.items():
                if column < len(state.score) - 1:
                    early = state.statistics[:, column] + waited * rule.injection
                    strong = state.strong[:, column] + waited * (1 - rule.reserve) * rule.injection
                    assert early.tolist() == pytest.approx(plain.values[drug, event], rel=1e-9, abs=1e-12)
                    assert strong.tolist() == pytest.approx(plain.strong[drug, event], rel=1e-9, abs=1e-12)


def test_an_alarm_sets_the_statistic_to_zero_and_the_pair_may_alarm_again() -> None:
    """By hand: head start 20/100 and threshold 2*20/400 = 0.1, so the first case after the burn-in alarms; M is then 0,
    gains 1/100 in a bucket without the drug, and single cases bring it over the threshold again later."""
    detector, kept = Detector.restore(RULE), Kept()
    quiet = [case("B", ["burn"], offset=i) for i in range(2)]
    alarmed = []
    for bucket in range(12):
        named = bucket in (5, 7, 8, 9, 10)
        delta = kept.close(detector, bucket, [*quiet, case("A", ["ache"], offset=9)] if named else quiet)
        state = delta.states.get("A")
        if any((a.drug, a.event) == ("A", "ache") for a in delta.alarms):
            alarmed.append(bucket)
            assert state is not None
            fired = next(a for a in delta.alarms if (a.drug, a.event) == ("A", "ache")).fired
            levels = {"early": state.statistics, "strong": state.strong}
            began_again, other = levels.pop(fired), *levels.values()
            assert not began_again[:, detector.window.index["ache"]].any()
            assert other[:, -1].all()
            assert began_again[:, -1].all()
    assert alarmed[0] == 5
    assert len(alarmed) >= 2
    assert detector.memory.alerted["A", "ache"].first == 5
    assert detector.memory.alerted["A", "ache"].last == alarmed[-1]


def test_more_pairs_than_the_budget_covers_are_an_error_that_changes_nothing() -> None:
    detector, kept = Detector.restore(replace(RULE, pairs=4)), Kept()
    kept.close(detector, 1, [case("AB", ["ache", "burn"])])
    assert detector.watched == 4
    before = kept.memory
    with pytest.raises(TooManyPairs, match=r"2 drugs x 3 events = 6.*alarms\.pairs = 4") as caught:
        kept.close(detector, 2, [case("A", ["cramp"])])
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.exit_status == 2
    assert (kept.memory, detector.watched) == (before, 4)


def test_a_closed_bucket_is_not_evaluated_again() -> None:
    detector, kept = Detector.restore(RULE), Kept()
    kept.close(detector, 5, [case("A", ["ache"])])
    for bucket in (4, 5):
        with pytest.raises(StateConflict, match=f"bucket {bucket} is evaluated, 5 is closed"):
            detector.evaluate(BucketTotals.of(bucket, [case("A", ["ache"])]))


def test_a_drug_whose_state_was_not_loaded_is_an_error_not_a_fresh_start() -> None:
    kept = Kept()
    kept.close(Detector.restore(RULE), 5, [case("A", ["ache"])])
    detector = kept.restored(RULE)
    totals = BucketTotals.of(6, [case("AB", ["ache"])])
    assert detector.missing(totals) == ["A"]
    with pytest.raises(StateConflict, match="states of 1 drugs have not been loaded"):
        detector.evaluate(totals)
    detector.load("A", kept.states["A"])
    assert detector.missing(totals) == []
    assert detector.evaluate(totals).states.keys() == {"A", "B"}


def test_kept_parts_that_do_not_belong_together_are_refused() -> None:
    kept = Kept()
    kept.close(Detector.restore(RULE), 5, [case("A", ["ache"])])
    with pytest.raises(StateConflict, match="last closed bucket is 5, totals are kept up to None"):
        Detector.restore(RULE, memory=kept.memory, events=kept.events, drugs=kept.drugs)
    with pytest.raises(StateConflict, match="1 events that have no index"):
        Detector.restore(RULE, memory=kept.memory, drugs=kept.drugs, totals=kept.totals.values())
