"""What a log would look like if nothing in it were true: events exchanged between the cases of a bucket and stratum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from streams.detect.close import Detector, Evaluation, Verdict
from streams.detect.contribution import Contribution
from streams.detect.totals import BucketTotals
from streams.events import Level
from streams.signals.rule import AlarmRule

__all__ = ["Alarms", "Rehearsal", "permuted"]


def permuted(bucket: int, cases: Iterable[Contribution], seed: int) -> list[Contribution]:
    """The bucket's cases, each with the events and scores of one drawn from its stratum, each of them drawn once.

    Every permutation is as likely as any other over the seeds; the same seed gives the same one, whatever the order of
    `cases`. Words that tie an event to a drug in a text are gone: every drug of a case goes with every event, which is
    what the rule's expectation assumes.
    """
    strata: dict[int, list[Contribution]] = defaultdict(list)
    for case in cases:
        strata[case.stratum].append(case)
    result = []
    for stratum in sorted(strata):
        here = sorted(strata[stratum], key=lambda case: case.position)
        drawn = sorted(here, key=lambda case: _lot(seed, bucket, case))
        result += [
            msgspec.structs.replace(case, events=other.events, scores=other.scores, pairs=None)
            for case, other in zip(here, drawn, strict=True)
        ]
    return result


def _lot(seed: int, bucket: int, case: Contribution) -> bytes:
    text = f"{seed}|{bucket}|{case.position}"
    return blake2b(text.encode(), digest_size=16, person=b"vigilia-permute").digest()


@dataclass
class Alarms:
    """What a run of the alarm rule raised: (bucket, drug, event) of each alarm of a level, in order; and when it ran.

    `buckets`: closed after the burn-in · `first`, `last`: the first and last of them.
    """

    raised: dict[Level, list[tuple[int, str, str]]] = field(default_factory=lambda: {"early": [], "strong": []})
    buckets: int = 0
    first: int | None = None
    last: int | None = None

    def years(self, bucket_ms: int) -> float:
        """How long it ran after the burn-in, from the first bucket to the last, in years of 365.25 days."""
        if self.first is None or self.last is None:
            return 0.0
        return (self.last - self.first + 1) * bucket_ms / (365.25 * 86_400_000)

    def pairs(self, level: Level) -> int:
        """How many pairs raised it at least once."""
        return len({(drug, event) for _, drug, event in self.raised[level]})


class Rehearsal:
    """Closes buckets one after the other for the sake of the alarms alone. Keeps no cases and judges no status."""

    def __init__(self, rule: AlarmRule) -> None:
        self._detector = Detector.restore(rule).fork()  # a fork fits no prior, which takes a second each time
        self.alarms = Alarms()

    def close(self, bucket: int, cases: Iterable[Contribution]) -> Evaluation:
        """Close the next bucket. Raises what `Detector.evaluate` and `Detector.delta` raise."""
        detector = self._detector
        evaluation = detector.evaluate(BucketTotals.of(bucket, cases))
        if detector.is_monitored(bucket):
            self.alarms.buckets += 1
            self.alarms.last = bucket
            if self.alarms.first is None:
                self.alarms.first = bucket
        for fire in evaluation.firing:
            for level in fire.levels:
                self.alarms.raised[level].append((bucket, fire.drug, fire.event))
        detector.advance(detector.delta(evaluation, Verdict([], {}, None)))
        return evaluation
