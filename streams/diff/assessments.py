"""How the assessments of two logs differ: counts, and the messages whose pairs moved most. Never a word of a text."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from streams.audit.recount import pair_scores
from streams.diff.pairing import Found, Pairing
from streams.events import MICRO, Assessment, DeadLetter, Gap

__all__ = ["AssessmentsDiff", "MovedPair", "NameDiff", "compare_assessments"]

EDGES = (10_000, 50_000, 100_000, 250_000, 500_000, MICRO)  # micro: upper edges of the classes of a change
CLASSES = ("up to 0.01", "up to 0.05", "up to 0.1", "up to 0.25", "up to 0.5", "above 0.5")
MOST_NAMES = 100_000  # drugs, and events, that are counted one by one; what comes after them is counted together
COVERED = ("topic", "partition", "lo", "offset", "model", "pairs", "drugs", "events", "scores")  # said in other ways


class MovedPair(Struct, frozen=True):
    """A pair of one message: where the message is, and its probabilities; None where the log has no such pair."""

    topic: str
    partition: int
    offset: int
    drug: str
    event: str
    a: float | None
    b: float | None


class NameDiff(Struct, frozen=True):
    """Pairs of a drug, or of an event, over all messages: only in B, only in A, of another probability."""

    name: str
    gained: int
    lost: int
    changed: int


class AssessmentsDiff(Struct):
    """What two logs say of the same source messages.

    `messages` both have; `waiting_a`, `waiting_b`: those that only the other has got to. `outcomes` counts messages by
    "outcome in A -> outcome in B" where these differ. `pairs`: same, gained (only in B), lost, changed. `moves` of
    changed pairs by |b - a|. `fields`: messages whose assessments differ in another way, by field. `moved`: the pairs
    that moved most, at most so many as asked for.
    """

    messages: int = 0
    same: int = 0
    waiting_a: int = 0
    waiting_b: int = 0
    outcomes: dict[str, int] = {}
    pairs: dict[str, int] = {}
    moves: dict[str, int] = {}
    fields: dict[str, int] = {}
    models_a: dict[str, int] = {}
    models_b: dict[str, int] = {}
    drugs: list[NameDiff] = []
    events: list[NameDiff] = []
    moved: list[MovedPair] = []

    @property
    def differs(self) -> bool:
        """Whether any message that both have was assessed otherwise."""
        return self.same < self.messages


class _Names:
    """Gained, lost and changed pairs by name, for a bounded number of names."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def add(self, name: str, kind: int) -> None:
        if name not in self._counts and len(self._counts) >= MOST_NAMES:
            name = f"(names after the first {MOST_NAMES:,})"
        self._counts.setdefault(name, [0, 0, 0])[kind] += 1

    def most(self, top: int) -> list[NameDiff]:
        ordered = sorted(self._counts.items(), key=lambda item: (-sum(item[1]), item[0]))
        return [NameDiff(name, *counts) for name, counts in ordered[:top]]


class _Moved:
    """The pairs that moved most; of equal ones those that come first in the order of positions."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._heap: list[tuple[int, int, MovedPair]] = []
        self._number = 0

    def add(self, move: int, pair: MovedPair) -> None:
        self._number -= 1
        entry = (move, self._number, pair)
        if len(self._heap) < self._top:
            heapq.heappush(self._heap, entry)
        elif self._top:
            heapq.heappushpop(self._heap, entry)

    def most(self) -> list[MovedPair]:
        return [pair for *_, pair in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


class _Comparison:
    def __init__(self, top: int, tolerance: int) -> None:
        self.result = AssessmentsDiff()
        self._top, self._tolerance = top, tolerance
        self._drugs, self._events, self._moved = _Names(), _Names(), _Moved(top)
        self._counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("outcomes", "pairs", "moves", "fields", "models_a", "models_b")
        }

    def add(self, pairing: Pairing) -> None:
        a, b = pairing.a, pairing.b
        if pairing.waits:
            self.result.waiting_a += a is None
            self.result.waiting_b += b is None
            return
        self.result.messages += 1
        for name, found in (("models_a", a), ("models_b", b)):
            if found is not None and isinstance(found.record, Assessment):
                self._counts[name][found.record.model or "no model"] += 1
        outcomes = _outcome(a), _outcome(b)
        if outcomes[0] != outcomes[1]:
            self._counts["outcomes"][" -> ".join(outcomes)] += 1
        elif a is None or b is None or not self._differ(pairing, a.record, b.record):
            self.result.same += 1

    def _differ(self, pairing: Pairing, a: object, b: object) -> bool:
        if not (isinstance(a, Assessment) and isinstance(b, Assessment)):
            return False
        moved = self._pairs_differ(pairing, a, b)
        fields = [name for name in Assessment.__struct_fields__ if name not in COVERED]
        other = [name for name in fields if getattr(a, name) != getattr(b, name)]
        if not moved and {*a.drugs} != {*b.drugs}:
            other.append("drugs")
        if not moved and not _alike(dict(zip(a.events, a.scores, strict=True)),
                                    dict(zip(b.events, b.scores, strict=True)), self._tolerance):  # fmt: skip
            other.append("events")
        self._counts["fields"].update(other)
        return moved or bool(other)

    def _pairs_differ(self, pairing: Pairing, a: Assessment, b: Assessment) -> bool:
        ours, theirs = pair_scores(a), pair_scores(b)
        differ = False
        for key in sorted(ours.keys() | theirs.keys()):
            before, after = ours.get(key), theirs.get(key)
            move = abs((after or 0) - (before or 0))
            if before is not None and after is not None and move <= self._tolerance:
                self._counts["pairs"]["same"] += 1
                continue
            differ = True
            kind = 0 if before is None else 1 if after is None else 2
            self._counts["pairs"][("gained", "lost", "changed")[kind]] += 1
            if kind == 2:
                self._counts["moves"][CLASSES[bisect_left(EDGES, move)]] += 1
            drug, event = key
            self._drugs.add(drug, kind)
            self._events.add(event, kind)
            place = (pairing.topic, pairing.partition, pairing.offset)
            self._moved.add(move, MovedPair(*place, drug, event, _probability(before), _probability(after)))
        return differ

    def finish(self) -> AssessmentsDiff:
        for name, counts in self._counts.items():
            setattr(self.result, name, dict(sorted(counts.items())))
        self.result.moves = {name: self._counts["moves"][name] for name in CLASSES if name in self._counts["moves"]}
        self.result.drugs, self.result.events = self._drugs.most(self._top), self._events.most(self._top)
        self.result.moved = self._moved.most()
        return self.result


def compare_assessments(pairings: Iterable[Pairing], *, top: int = 20, tolerance: float = 0.0) -> AssessmentsDiff:
    """Compare what two logs say, message by message. Pure, and in memory that depends on the vocabulary alone.

    A probability that moved by at most `tolerance` counts as the same. Another name of the model is no difference.
    """
    comparison = _Comparison(top, round(tolerance * MICRO))
    for pairing in pairings:
        comparison.add(pairing)
    return comparison.finish()


def _outcome(found: Found | None) -> str:
    match found:
        case Found(record=Assessment()):
            return "assessed"
        case Found(record=DeadLetter(reason=reason)):
            return f"dead letter: {reason}"
        case Found(record=Gap()):
            return "gap"
    return "no record"


def _alike(a: dict[str, int], b: dict[str, int], tolerance: int) -> bool:
    return a.keys() == b.keys() and all(abs(a[name] - b[name]) <= tolerance for name in a)


def _probability(micro: int | None) -> float | None:
    return None if micro is None else micro / MICRO
