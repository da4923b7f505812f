"""What the rules remember of the reference window. In memory alone: rebuilt from the cases of closed buckets."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from streams.detect.contribution import Contribution, Position
from streams.monitors.rules import Rules
from streams.rules.finding import Key, Situated
from streams.rules.joint import Joint, joint_counts
from streams.rules.single import SingleCase, kinds_of

__all__ = ["BucketFacts", "Matched", "RuleWindow"]

Name = TypeVar("Name", bound=Hashable)


class BucketFacts:
    """What a bucket's counted cases, and later versions of earlier ones, are to the rules.

    `matches` of the single-case rules, by alert · `later`: later versions that match, by alert; nothing else counts
    them · `kinds`: how many cases are of a kind, by (kind, stratum) · `drugs`: cases with a drug; under None all of
    them · `joint`: what goes together in one case (`joint`). The order in which cases are added does not show.
    """

    __slots__ = ("_rules", "_single", "bucket", "drugs", "joint", "kinds", "later", "matches")

    def __init__(self, bucket: int, cases: Iterable[Contribution], rules: Rules, single: SingleCase) -> None:
        self.bucket = bucket
        self.matches: dict[Key, list[Contribution]] = {}
        self.later: dict[Key, list[Contribution]] = {}
        self.kinds: Counter[tuple[str, int]] = Counter()
        self.drugs: Counter[str | None] = Counter()
        self.joint: Counter[Joint] = Counter()
        self._rules, self._single = rules, single
        for case in cases:
            self.add(case)

    def add(self, case: Contribution) -> None:
        """Take in a counted case."""
        self._count(case, 1)
        self._enter(self.matches, case)

    def remove(self, case: Contribution) -> None:
        """Take back a case that was added: the facts are as if it had never been."""
        self._count(case, -1)
        for key in self._single.keys(case):
            kept = self.matches[key]
            del kept[bisect_left(kept, case.position, key=_position)]
            if not kept:
                del self.matches[key]

    def add_later(self, version: Contribution) -> None:
        """Take in a later version of a case that was counted before it."""
        self._enter(self.later, version)

    def matched(self) -> set[Key]:
        """The alerts that a case of the bucket, or a later version, is a reason for."""
        return {*self.matches, *self.later}

    def _enter(self, matches: dict[Key, list[Contribution]], case: Contribution) -> None:
        for key in self._single.keys(case):
            insort(matches.setdefault(key, []), case, key=_position)

    def _count(self, case: Contribution, sign: int) -> None:
        for kind in kinds_of(self._rules, case):
            _change(self.kinds, (kind, case.stratum), sign)
        for drug in (None, *case.drugs):
            _change(self.drugs, drug, sign)
        for joint in joint_counts(case, self._rules):
            _change(self.joint, joint, sign)


def _position(case: Contribution) -> Position:
    return case.position


class Matched(NamedTuple):
    """What is a reason for an alert of a single-case rule, in the reference window, each in order of bucket.

    `counted`: counted cases. `later`: later versions of cases, each case once, and none that is among the counted ones
    at or before the version's bucket: cases that became a reason after they were counted.
    """

    counted: list[Situated]
    later: list[Situated]


def _change(counts: Counter[Name], name: Name, amount: int) -> None:
    counts[name] += amount
    if not counts[name]:
        del counts[name]


def _append(kept: dict[Key, deque[Situated]], bucket: int, matches: Mapping[Key, Sequence[Contribution]]) -> None:
    for key, cases in matches.items():
        kept.setdefault(key, deque()).extend((bucket, case) for case in cases)


def _drop(kept: dict[Key, deque[Situated]], matches: Mapping[Key, Sequence[Contribution]]) -> None:
    for key, cases in matches.items():
        for _ in cases:
            kept[key].popleft()
        if not kept[key]:
            del kept[key]


def _without_repetitions(counted: Iterable[Situated], later: Iterable[Situated]) -> list[Situated]:
    """The later versions by which a case first became a reason, as far as the window goes back."""
    since: dict[tuple[str, str], int] = {}
    for bucket, case in counted:
        since.setdefault((case.position[0], case.case_id), bucket)
    result = []
    for bucket, case in later:
        identity = (case.position[0], case.case_id)
        if identity not in since or since[identity] > bucket:
            since[identity] = bucket
            result.append((bucket, case))
    return result


class RuleWindow:
    """Facts of the closed buckets in (last - width, last], with open or closing buckets put on top when asked."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.last: int | None = None
        self._buckets: deque[BucketFacts] = deque()
        self._matches: dict[Key, deque[Situated]] = {}
        self._later: dict[Key, deque[Situated]] = {}
        self._kinds: Counter[tuple[str, int]] = Counter()
        self._joint: Counter[Joint] = Counter()
        self._by_event: dict[str, Counter[str]] = {}

    def advance(self, facts: BucketFacts) -> None:
        """Take in the next closed bucket, and drop what falls out."""
        limit = facts.bucket - self.width
        while self._buckets and self._buckets[0].bucket <= limit:
            old = self._buckets.popleft()
            self._kinds.subtract(old.kinds)
            self._join(old, -1)
            _drop(self._matches, old.matches)
            _drop(self._later, old.later)
        self._buckets.append(facts)
        self._kinds.update(facts.kinds)
        self._join(facts, 1)
        _append(self._matches, facts.bucket, facts.matches)
        _append(self._later, facts.bucket, facts.later)
        self.last = facts.bucket

    def matched(self, key: Key, on_top: Sequence[BucketFacts]) -> Matched:
        """What matches an alert's rule, up to the last bucket of `on_top`, which follow the closed ones."""
        counted = [*self._matches.get(key, ()), *((f.bucket, c) for f in on_top for c in f.matches.get(key, ()))]
        later = [*self._later.get(key, ()), *((f.bucket, c) for f in on_top for c in f.later.get(key, ()))]
        limit = on_top[-1].bucket - self.width if on_top else None
        if limit is not None:
            counted, later = ([(b, case) for b, case in found if b > limit] for found in (counted, later))
        return Matched(counted, _without_repetitions(counted, later))

    def of_kind(self, kind: str, strata: int, on_top: Iterable[BucketFacts]) -> list[int]:
        """How many cases are of a kind, by stratum, up to the last bucket of `on_top`."""
        above = list(on_top)
        counts = Counter(self._kinds)
        for facts in above:
            counts.update(facts.kinds)
        for old in self._leaving(above[-1].bucket) if above else ():
            counts.subtract(old.kinds)
        return [counts[kind, stratum] for stratum in range(strata)]

    def _join(self, facts: BucketFacts, sign: int) -> None:
        for key, number in facts.joint.items():
            _change(self._joint, key, sign * number)
            if key[0] == "pair":
                self._by_event.setdefault(key[2], Counter())[key[1]] += sign * number

    def joint(self, facts: BucketFacts) -> Callable[[Joint], int]:
        """Looks up how many cases have something together, up to `facts`, the bucket that follows the closed ones."""
        leaving = self._leaving(facts.bucket)
        return lambda key: self._joint[key] + facts.joint[key] - sum(old.joint[key] for old in leaving)

    def drugs_of(self, facts: BucketFacts) -> Callable[[str], dict[str, int]]:
        """Looks up the cases of an event by drug, up to `facts`."""
        count = self.joint(facts)
        added: dict[str, set[str]] = {}
        for key in facts.joint:
            if key[0] == "pair":
                added.setdefault(key[2], set()).add(key[1])
        return lambda event: {
            drug: count(("pair", drug, event)) for drug in {*self._by_event.get(event, ()), *added.get(event, ())}
        }

    def _leaving(self, bucket: int) -> list[BucketFacts]:
        """The buckets that fall out of the window when `bucket` is closed."""
        leaving = []
        for old in self._buckets:
            if old.bucket > bucket - self.width:
                break
            leaving.append(old)
        return leaving

    def spans(self, drug: str | None, facts: BucketFacts, length: int, number: int) -> list[int]:
        """Cases with the drug (None: all cases) in each of `number` spans of `length` buckets, back from `facts`."""
        counts = [0] * number
        counts[0] = facts.drugs[drug]
        for old in reversed(self._buckets):
            span = (facts.bucket - old.bucket) // length
            if span >= number:
                break
            counts[span] += old.drugs[drug]
        return counts
