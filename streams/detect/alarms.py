"""From pairs that fire to alarms: their status, their table and the measures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from streams.detect.contribution import Contribution, Position
from streams.detect.reference import ReferenceView
from streams.detect.totals import pair_scores
from streams.events import Level, Status, Table
from streams.signals.early import EarlyRule
from streams.signals.evidence import measures
from streams.signals.gps import Prior
from streams.signals.rounding import round_published

__all__ = ["Alarm", "Alerted", "Firing", "Pair", "PairEvidence", "evidence_of", "judge"]

Pair = tuple[str, str]  # (drug, event)


class PairEvidence(Struct, frozen=True, array_like=True):
    """One case of a pair, as it is kept for alerts: where its message is, its score, and the case's other products.

    Positional in Redis: fields are only ever added at the end, with a default.
    """

    position: Position
    received_at: int
    case_id: str
    version: int
    micro: int
    drugs: tuple[str, ...]
    drug_span: str | None = None
    event_span: str | None = None
    late: bool = False


def evidence_of(contribution: Contribution) -> Iterator[tuple[Pair, PairEvidence]]:
    """What a counted case is evidence for, one item a pair, sorted by pair."""
    spans: dict[Pair, tuple[int, str | None, str | None]] = {}
    for drug_index, event_index, micro, drug_span, event_span in contribution.pairs or ():
        pair = (contribution.drugs[drug_index], contribution.events[event_index])
        if pair not in spans or micro > spans[pair][0]:
            spans[pair] = (micro, drug_span, event_span)
    for drug, event, micro in pair_scores(contribution):
        _, drug_span, event_span = spans.get((drug, event), (micro, None, None))
        yield (
            (drug, event),
            PairEvidence(
                contribution.position,
                contribution.received_at,
                contribution.case_id,
                contribution.version,
                micro,
                contribution.drugs,
                drug_span,
                event_span,
                contribution.late,
            ),
        )


@dataclass(frozen=True)
class Firing:
    """A pair at which the rule fires, before anyone has asked what it means.

    `cases`, `expected`, `days`: S_w, E_w and days with a case since bucket `since` · `past_ratio`: lambda · `bound`:
    least effect the recent data support · `statistic`: mean of M over the thetas.
    """

    drug: str
    event: str
    statistic: float
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
    """An alarm of one bucket. `table` and `measures` are over the reference window including the bucket.

    `cases`, `expected`, `days` are the rule's own: since bucket `since` (about six months).
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
    alerted: Mapping[Pair, Alerted],
    cases: Mapping[Pair, Sequence[PairEvidence]],
    prior: Prior | None,
    rule: EarlyRule,
) -> tuple[list[Alarm], dict[Pair, Alerted]]:
    """Alarms of a bucket in the order of falling S_w/E_w (then drug, event), and what to remember of them.

    `cases`: each firing pair's cases of the bystander span, this bucket's included. The first status that fits is
    given: listed, non_reaction, bystander, update, new.
    """
    by_event: dict[str, dict[str, float]] = {}
    for (drug, event), past in alerted.items():
        by_event.setdefault(event, {})[drug] = past.ratio
    alarms: list[Alarm] = []
    remembered: dict[Pair, Alerted] = {}
    for fire in sorted(firing, key=lambda f: (-f.ratio, f.drug, f.event)):
        pair = (fire.drug, fire.event)
        others = by_event.setdefault(fire.event, {})
        stronger = {drug for drug, ratio in others.items() if drug != fire.drug and ratio > fire.ratio}
        status = _status(pair, stronger, cases.get(pair, ()), pair in alerted, rule)
        alarms.append(_alarm(fire, status, view, prior, rule))
        ratio = alarms[-1].ratio
        others[fire.drug] = ratio
        remembered[pair] = Alerted(alerted[pair].first if pair in alerted else view.bucket, view.bucket, ratio)
    return alarms, remembered


def _status(pair: Pair, stronger: set[str], cases: Sequence[PairEvidence], before: bool, rule: EarlyRule) -> Status:
    drug, event = pair[0].casefold(), pair[1].casefold()
    if (drug, event) in rule.listed:
        return "listed"
    if event in rule.non_reactions:
        return "non_reaction"
    shared = sum(1 for case in cases if not stronger.isdisjoint(case.drugs)) if stronger else 0
    if shared and 2 * shared >= len(cases):
        return "bystander"
    return "update" if before else "new"


def _alarm(fire: Firing, status: Status, view: ReferenceView, prior: Prior | None, rule: EarlyRule) -> Alarm:
    t = view.table(fire.drug, fire.event)
    return Alarm(
        drug=fire.drug,
        event=fire.event,
        bucket=view.bucket,
        level="early",
        status=status,
        statistic=round_published(fire.statistic),
        threshold=round_published(rule.threshold),
        cases=fire.cases,
        expected=round_published(fire.expected),
        days=fire.days,
        since=fire.since,
        ratio=round_published(fire.ratio),
        past_ratio=round_published(fire.past_ratio),
        bound=round_published(fire.bound),
        table=Table(t.a, t.b, t.c, t.d, round_published(t.expected)),
        measures=measures(a=t.a, b=t.b, c=t.c, d=t.d, expected=t.expected, prior=prior),
    )
