"""Small random streams for laws of the close: few drugs, events and strata, so that everything meets everything."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import strategies as st

from streams.detect.close import CloseDelta, Detector
from streams.detect.contribution import Contribution
from streams.detect.totals import BucketTotals, pair_scores
from streams.signals.rule import AlarmRule

DRUGS = ("A", "B", "C")
EVENTS = ("ache", "burn", "cramp", "dizzy", "ear")
MICRO = 1_000_000

# Alarms come easily and windows are short, so that ten buckets go through everything a year goes through.
RULE = AlarmRule(
    pairs=100,
    false_alarms_per_year=400,
    buckets_per_year=20,
    strata=2,
    burn_in=3,
    window=7,
    snapshot=2,
    recent=4,
    past=6,
    concurrent=3,
    concurrent_prior=2,
    bystander=5,
    stratum_prior=2,
    past_prior=1,
    min_cases=1,
    min_days=1,
    rho=0.3,
)

Stream = list[tuple[int, list[Contribution]]]
PairName = tuple[str, str]


@st.composite
def contributions(draw: st.DrawFn, bucket: int, offset: int) -> Contribution:
    """A case of a bucket: coded (every drug with every event) or read from text (its own pairs and scores)."""
    drugs = tuple(sorted(draw(st.sets(st.sampled_from(DRUGS), max_size=2))))
    events = tuple(sorted(draw(st.sets(st.sampled_from(EVENTS), max_size=3))))
    pairs = None
    scores = (MICRO,) * len(events)
    if drugs and events and draw(st.booleans()):
        scores = tuple(draw(st.integers(1, MICRO)) for _ in events)
        named = draw(st.lists(st.tuples(st.integers(0, len(drugs) - 1), st.integers(0, len(events) - 1)), max_size=3))
        pairs = tuple((d, e, draw(st.integers(0, scores[e])), None, None) for d, e in named)
    return Contribution(
        position=("t", 0, offset),
        received_at=bucket * RULE.bucket_ms,
        case_id=str(offset),
        version=1,
        stratum=draw(st.integers(0, 1)),
        drugs=drugs,
        events=events,
        scores=scores,
        pairs=pairs,
    )


@st.composite
def streams(draw: st.DrawFn, buckets: int = 10) -> Stream:
    """Buckets with their cases, some bucket numbers left out."""
    bucket, offset, result = draw(st.integers(-5, 30)), 0, []
    for _ in range(draw(st.integers(buckets // 2, buckets))):
        size = draw(st.integers(1, 3))
        result.append((bucket, [draw(contributions(bucket, offset + i)) for i in range(size)]))
        offset += size
        bucket += draw(st.integers(1, 3))
    return result


class Kept:
    """What a store would keep, in dicts: cases of pairs, totals, drug states, vocabularies and memory."""

    def __init__(self) -> None:
        self.cases: dict[PairName, list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
        self.totals: dict[int, bytes] = {}
        self.states: dict[str, bytes] = {}
        self.events: list[str] = []
        self.drugs: list[str] = []
        self.memory: bytes | None = None

    def close(self, detector: Detector, bucket: int, cases: list[Contribution]) -> CloseDelta:
        """Close a bucket and keep what it writes."""
        for case in cases:
            for drug, event, _ in pair_scores(case):
                self.cases[drug, event].append((bucket, case.drugs))
        totals = BucketTotals.of(bucket, cases)
        for drug in detector.missing(totals):
            detector.load(drug, self.states[drug])
        evaluation = detector.evaluate(totals)
        since = bucket - detector.rule.bystander
        known = {pair: [d for b, d in self.cases[pair] if b > since] for pair in evaluation.pairs}
        delta = detector.delta(evaluation, detector.judge(evaluation, known))
        detector.advance(delta)
        self.totals[bucket] = delta.totals_blob
        self.totals = {b: blob for b, blob in self.totals.items() if b > delta.drop_through}
        self.states.update({drug: state.encode() for drug, state in delta.states.items()})
        self.events += delta.new_events
        self.drugs += delta.new_drugs
        self.memory = delta.memory_blob
        return delta

    def restored(self, rule: AlarmRule) -> Detector:
        """A detector from nothing but what was kept."""
        return Detector.restore(
            rule, memory=self.memory, events=self.events, drugs=self.drugs, totals=self.totals.values()
        )


def written(delta: CloseDelta) -> tuple[object, ...]:
    """Everything a close writes, comparable."""
    states = {drug: state.encode() for drug, state in delta.states.items()}
    return (delta.alarms, states, delta.totals_blob, delta.memory_blob, delta.new_events, delta.new_drugs)
