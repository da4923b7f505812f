"""What a log means: an independent recount, sequential and set-based. It shares no code with streams/.

The rules are those of the design: which records of the assessments log are applied, which bucket a message falls in,
which messages count, and what a simple alarm rule (a pair alarms at its second case) makes of the closed buckets.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

WIDTH, DISORDER, HORIZON, WINDOW, ALARM = 10, 3, 3, 6, 2
END = 10**6  # the time of an end tick


@dataclass(frozen=True)
class Said:
    """A message as it stands in the source log."""

    topic: str
    partition: int
    offset: int
    time: int
    case: str
    version: int
    print: str | None
    pair: str

    @property
    def position(self) -> tuple[str, int, int]:
        return (self.topic, self.partition, self.offset)

    @property
    def keys(self) -> set[tuple[str, ...]]:
        own: set[tuple[str, ...]] = {("case", self.topic, self.case)}
        return own | ({("print", self.print)} if self.print else set())


@dataclass
class Meaning:
    """What must be found in the end."""

    seen: set[tuple[str, int, int]]
    counters: dict[str, int]
    chain: str = ""
    closed: int | None = None
    ordinal: int = 0
    history: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)
    window: dict[int, dict[str, int]] = field(default_factory=dict)
    terms: list[str] = field(default_factory=list)


Placed = tuple[int, bool, Said]


def floor(time: int) -> int:
    return (time - DISORDER) // WIDTH


def accepted(records: Iterable[Any]) -> tuple[list[Placed], Counter[str], dict[Any, list[Any]]]:
    """From one assessments partition: messages with bucket and lateness, other outcomes, ticks and gaps that held."""
    following: dict[Any, int] = {}
    latest: dict[Any, int] = {}
    placed: list[Placed] = []
    outcomes: Counter[str] = Counter()
    marks: dict[Any, list[Any]] = {}
    for r in records:
        source, kind = (r.topic, r.partition), type(r).__name__
        n = following.get(source, 0)
        if kind == "Tick":
            held = r.at == n
            outcomes["tick" if held else "tick_void"] += 1
            if held:
                latest[source] = max(r.received_at, latest.get(source, r.received_at))
                marks.setdefault(source, []).append(("tick", r.at, r.received_at))
            continue
        if r.offset < n:
            outcomes["repeated"] += 1
            continue
        if r.lo > n:
            outcomes["beyond"] += 1
            continue
        following[source] = r.offset + 1
        if kind == "DeadLetter":
            outcomes["dead_letter:" + r.reason] += 1
        elif kind == "Gap":
            outcomes["gap"] += 1
            outcomes["gap_offsets"] += r.offset + 1 - n
            marks.setdefault(source, []).append(("gap", n, r.offset))
        else:
            said = Said(
                r.topic,
                r.partition,
                r.offset,
                r.received_at,
                r.case_id,
                r.version,
                (r.fingerprints or [None])[0],
                r.drugs[0],
            )
            latest[source] = max(said.time, latest.get(source, said.time))
            placed.append(_placed(said, latest[source]))
    return placed, outcomes, marks


def _placed(said: Said, latest: int) -> Placed:
    own, low = said.time // WIDTH, floor(latest)
    return (max(own, low), own < low, said)


def from_sources(plan: dict[Any, list[Any]], marks: dict[Any, list[Any]]) -> list[Placed]:
    """The same from the source log, given the ticks and gaps that held, each at its source position."""
    placed = []
    for source, messages in plan.items():
        ticks = [m for m in marks.get(source, []) if m[0] == "tick"]
        gone = [(m[1], m[2]) for m in marks.get(source, []) if m[0] == "gap"]
        latest: int | None = None
        known = -1
        for said in messages:
            for _, at, time in ticks:
                if known < at <= said.offset:
                    latest = time if latest is None else max(latest, time)
            known = said.offset
            if said.time < 0 or any(lo <= said.offset <= hi for lo, hi in gone):
                continue
            latest = said.time if latest is None else max(latest, said.time)
            placed.append(_placed(said, latest))
    return placed


def meaning(placed: list[Placed], outcomes: Counter[str], up_to: int | None = None) -> Meaning:
    """What the placed messages say once every bucket below `up_to` (None: all) is closed."""
    kept = [
        (b, late, m)
        for b, late, m in placed
        if not any((qb, q.position) < (b, m.position) and b - qb <= HORIZON and m.keys & q.keys for qb, _, q in placed)
    ]
    counters = Counter(outcomes)
    counters["counted"] = sum(1 for _, late, _ in kept if not late)
    counters["late"] = sum(1 for _, late, _ in kept if late)
    counters["duplicate"] = len(placed) - len(kept)
    result = Meaning({m.position for _, _, m in placed}, {k: n for k, n in counters.items() if n})
    counted = {m.position for _, _, m in kept}
    previous: int | None = None
    total: Counter[str] = Counter()
    first: dict[str, int] = {}
    for b in sorted({b for b, _, _ in kept if up_to is None or b < up_to}):
        new = sorted((m.position, m.pair) for kb, _, m in kept if kb == b)
        total.update(pair for _, pair in new)
        result.terms += sorted({pair for _, pair in new} - set(result.terms))
        result.window[b] = dict(Counter(pair for _, pair in new))
        result.chain = hashlib.sha256(repr((result.chain, b, [p for p, _ in new])).encode()).hexdigest()[:16]
        for pair in sorted(total):
            rows = sorted((kb, m.position, m) for kb, _, m in kept if m.pair == pair and b - WINDOW < kb <= b)
            fresh = any(p == pair for _, p in new)
            if not (fresh and (pair in first or total[pair] >= ALARM)) and not (
                pair in first and not fresh and _followed_up(placed, counted, rows, previous, b)
            ):
                continue
            state = "updated" if pair in first else "raised"
            first.setdefault(pair, b)
            alert = {
                "id": f"alert-{pair}",
                "state": state,
                "bucket": b,
                "raised_at": str(first[pair]),
                "cases": len(rows),
                "evidence": sorted((m.position, _newest(placed, m, b)) for _, _, m in rows),
            }
            result.history.setdefault(b, []).append(alert)
            result.newest[alert["id"]] = alert
        previous, result.closed, result.ordinal = b, b, result.ordinal + 1
    result.window = {b: w for b, w in result.window.items() if result.closed is not None and b > result.closed - WINDOW}
    return result


def _newest(placed: list[Placed], case: Said, b: int) -> int:
    """The version of a case that evidence shows at the close of b."""
    later = [
        m.version
        for mb, _, m in placed
        if (m.topic, m.case) == (case.topic, case.case) and m.version > 1 and b - WINDOW < mb <= b
    ]
    return max([case.version, *later])


def _followed_up(placed: list[Placed], counted: set[Any], rows: list[Any], previous: int | None, b: int) -> bool:
    """Whether a later version of one of the cases takes effect with the close of b."""
    for _, _, case in rows:
        versions = sorted(
            (mb, -m.version, m.position)
            for mb, _, m in placed
            if (m.topic, m.case) == (case.topic, case.case) and m.version > 1 and mb <= b
        )
        for bucket in {mb for mb, _, _ in versions if previous is None or mb > previous}:
            _, minus, position = min(v for v in versions if v[0] == bucket)
            before = max((-v for mb, v, _ in versions if bucket - 1 - WINDOW < mb < bucket), default=0)
            if -minus > before and position not in counted and -minus > case.version:
                return True
    return False
