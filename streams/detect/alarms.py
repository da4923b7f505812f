"""From pairs that fire to alarms: their status, their table and the measures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from streams.detect.reference import ReferenceView
from streams.events import Level, Status, Table
from streams.signals.evidence import measures
from streams.signals.gps import Prior
from streams.signals.rounding import round_published
from streams.signals.rule import AlarmRule

__all__ = ["Alarm", "Alerted", "Firing", "PairKey", "judge"]

PairKey = tuple[str, str]  # (drug, event)


@dataclass(frozen=True)
class Firing:
    """A pair at which the rule fires, before anyone has asked what it means.

    `cases`, `expected`, `days`: S_w, E_w and days with a case since bucket `since` · `past_ratio`: lambda · `bound`:
    least effect the recent data support · `statistic`: mean of M over the thetas · `threshold`: what it was compared
    with, c divided by the pair's share of the budget.
    """

    drug: str
    event: str
    statistic: float
    threshold: float
    cases: float
    expected: float
    days: int
    since: int
    past_ratio: float
    bound: float

    @property
    def ratio(self) -> float:
        """S_w / E_w; E_w > 0, for a drug with a case expects something of every event."""
        return self.cases / self.expected


class Alerted(Struct, frozen=True, array_like=True):
    """What stays of a pair's alerts: first and last bucket, and the ratio S_w / E_w at the last."""

    first: int
    last: int
    ratio: float


@dataclass(frozen=True)
class Alarm:
    """An alarm of one bucket. `table` and the usual measures are over the reference window including the bucket.

    `cases`, `expected`, `days` are the rule's own: since bucket `since` (about six months). They stand among the
    measures too (`recent_cases`, `recent_expected`, `recent_days`, `own_past_ratio`, `effect_bound`), so that a
    published alert holds everything that its statistic was compared with.
    """

    drug: str
    event: str
    bucket: int
    level: Level
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
        alarms.append(_alarm(fire, status, view, prior))
        ratio = alarms[-1].ratio
        others[fire.drug] = ratio
        remembered[pair] = Alerted(alerted[pair].first if pair in alerted else view.bucket, view.bucket, ratio)
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


def _alarm(fire: Firing, status: Status, view: ReferenceView, prior: Prior | None) -> Alarm:
    t = view.table(fire.drug, fire.event)
    expected, past_ratio, bound = (round_published(x) for x in (fire.expected, fire.past_ratio, fire.bound))
    own: dict[str, float | None] = {
        "recent_cases": fire.cases,
        "recent_expected": expected,
        "recent_days": float(fire.days),
        "own_past_ratio": past_ratio,
        "effect_bound": bound,
    }
    return Alarm(
        drug=fire.drug,
        event=fire.event,
        bucket=view.bucket,
        level="early",
        status=status,
        statistic=round_published(fire.statistic),
        threshold=round_published(fire.threshold),
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
