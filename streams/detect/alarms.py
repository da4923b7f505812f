"""From pairs that fire to alarms: their status, their table and the measures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Struct

from streams.detect.reference import ReferenceView
from streams.events import Level, Status, Table
from streams.signals.evidence import measures
from streams.signals.gps import Prior
from streams.signals.rounding import round_published
from streams.signals.rule import AlarmRule

__all__ = ["Alarm", "Alerted", "Firing", "PairKey", "Reading", "judge"]

PairKey = tuple[str, str]  # (drug, event)


class Reading(NamedTuple):
    """A statistic and its threshold."""

    statistic: float
    threshold: float

    @property
    def fires(self) -> bool:
        """Whether the statistic has reached the threshold."""
        return self.statistic >= self.threshold


@dataclass(frozen=True)
class Firing:
    """A pair at which a level fires, before anyone has asked what it means.

    `early`, `strong`: the two levels' statistics, means of M over their thetas, and what they were compared with, c
    divided by the pair's share of the budget · `cases`, `expected`, `days`: S_w, E_w and days with a
    case since bucket `since` · `past_ratio`: lambda · `bound`: least effect the recent data support.
    """

    drug: str
    event: str
    early: Reading
    strong: Reading
    cases: float
    expected: float
    days: int
    since: int
    past_ratio: float
    bound: float

    @property
    def level(self) -> Level:
        """The stronger of the levels that fire."""
        return "strong" if self.strong.fires else "early"

    @property
    def levels(self) -> list[Level]:
        """The levels that fire."""
        read: tuple[tuple[Level, Reading], ...] = (("early", self.early), ("strong", self.strong))
        return [level for level, reading in read if reading.fires]

    @property
    def ratio(self) -> float:
        """S_w / E_w; E_w > 0, for a drug with a case expects something of every event."""
        return self.cases / self.expected


class Alerted(Struct, frozen=True, array_like=True):
    """What stays of a pair's alerts: first and last bucket, the ratio S_w / E_w at the last, the highest level."""

    first: int
    last: int
    ratio: float
    level: Level = "early"


@dataclass(frozen=True)
class Alarm:
    """An alarm of one bucket. `table` and the usual measures are over the reference window including the bucket.

    `cases`, `expected`, `days` are the rule's own: since bucket `since` (about six months). They stand among the
    measures too (`recent_cases`, `recent_expected`, `recent_days`, `own_past_ratio`, `effect_bound`), so that a
    published alert holds everything that its statistic was compared with. `level` never falls from one alarm of a pair
    to the next; `fired` is the level of this one, `statistic` and `threshold` are that level's.
    """

    drug: str
    event: str
    bucket: int
    level: Level
    fired: Level
    status: Status
    statistic: float
    threshold: float
    cases: float
    expected: float
    days: int
    since: int
    ratio: float
    past_ratio: float
    bound: float
    table: Table
    measures: dict[str, float | None]


def judge(
    firing: Sequence[Firing],
    *,
    view: ReferenceView,
    alerted: Mapping[PairKey, Alerted],
    cases: Mapping[PairKey, Sequence[Sequence[str]]],
    prior: Prior | None,
    rule: AlarmRule,
) -> tuple[list[Alarm], dict[PairKey, Alerted]]:
    """Alarms of a bucket in the order of falling S_w/E_w (then drug, event), and what to remember of them.

    `cases`: the drugs of each case of each firing pair in the bystander span, this bucket's included. The first status
    that fits is given: listed, non_reaction, bystander, update, new.
    """
    by_event: dict[str, dict[str, float]] = {}
    for (drug, event), past in alerted.items():
        by_event.setdefault(event, {})[drug] = past.ratio
    alarms: list[Alarm] = []
    remembered: dict[PairKey, Alerted] = {}
    for fire in sorted(firing, key=lambda f: (-f.ratio, f.drug, f.event)):
        pair = (fire.drug, fire.event)
        others = by_event.setdefault(fire.event, {})
        stronger = {drug for drug, ratio in others.items() if drug != fire.drug and ratio > fire.ratio}
        status = _status(pair, stronger, cases.get(pair, ()), pair in alerted, rule)
        before = alerted.get(pair)
        level: Level = "strong" if before is not None and before.level == "strong" else fire.level
        alarms.append(_alarm(fire, level, status, view, prior))
        ratio = alarms[-1].ratio
        others[fire.drug] = ratio
        remembered[pair] = Alerted(view.bucket if before is None else before.first, view.bucket, ratio, level)
    return alarms, remembered


def _status(pair: PairKey, stronger: set[str], cases: Sequence[Sequence[str]], before: bool, rule: AlarmRule) -> Status:
    drug, event = pair[0].casefold(), pair[1].casefold()
    if (drug, event) in rule.listed:
        return "listed"
    if event in rule.non_reactions:
        return "non_reaction"
    shared = sum(1 for case in cases if not stronger.isdisjoint(case)) if stronger else 0
    if shared and 2 * shared >= len(cases):
        return "bystander"
    return "update" if before else "new"


def _alarm(fire: Firing, level: Level, status: Status, view: ReferenceView, prior: Prior | None) -> Alarm:
    t = view.table(fire.drug, fire.event)
    reading = fire.strong if fire.level == "strong" else fire.early
    expected, past_ratio, bound = (round_published(x) for x in (fire.expected, fire.past_ratio, fire.bound))
    own: dict[str, float | None] = {
        "recent_cases": fire.cases,
        "recent_expected": expected,
        "recent_days": float(fire.days),
        "own_past_ratio": past_ratio,
        "effect_bound": bound,
        "early_statistic": round_published(fire.early.statistic),
        "strong_statistic": round_published(fire.strong.statistic),
    }
    return Alarm(
        drug=fire.drug,
        event=fire.event,
        bucket=view.bucket,
        level=level,
        fired=fire.level,
        status=status,
        statistic=round_published(reading.statistic),
        threshold=round_published(reading.threshold),
        cases=fire.cases,
        expected=expected,
        days=fire.days,
        since=fire.since,
        ratio=round_published(fire.ratio),
        past_ratio=past_ratio,
        bound=bound,
        table=Table(t.a, t.b, t.c, t.d, round_published(t.expected)),
        measures=own | measures(a=t.a, b=t.b, c=t.c, d=t.d, expected=t.expected, prior=prior),
    )
