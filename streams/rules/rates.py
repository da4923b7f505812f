"""A drug that is reported more than before, all events together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from streams.events import Table
from streams.monitors.rules import RateRise
from streams.rules.finding import ANY_EVENT, Finding, Key, Past
from streams.rules.window import BucketFacts, RuleWindow
from streams.signals.farrington import upper_bound
from streams.signals.rounding import round_published

__all__ = ["rate_rises"]


def rate_rises(
    rule: RateRise, window: RuleWindow, facts: BucketFacts, past: Mapping[Key, Past], *, span: int, since: int
) -> Iterator[Finding]:
    """Drugs with a case in the bucket whose cases of the last `span` buckets exceed what their past lets expect.

    `since`: the first bucket that counts as a past. An alert is updated at most once a span.
    """
    bucket = facts.bucket
    if bucket - (rule.spans + 1) * span < since - 1:
        return
    totals = window.spans(None, facts, span, rule.spans + 1)
    for drug in sorted(name for name in facts.drugs if name is not None):
        before = past.get(("rate_rise", drug, ANY_EVENT))
        if before is not None and before.decided > bucket - span:
            continue
        counts = window.spans(drug, facts, span, rule.spans + 1)
        finding = _risen(rule, drug, counts, totals)
        if finding is not None:
            yield finding


def _risen(rule: RateRise, drug: str, counts: Sequence[int], totals: Sequence[int]) -> Finding | None:
    """The finding if the first of the spans, the present one, stands out of the others."""
    now, all_now = counts[0], totals[0]
    if now < rule.cases:
        return None
    bound = upper_bound(counts=counts[1:], totals=totals[1:], total=all_now, z=rule.z)
    if bound is None or now <= bound.upper:
        return None
    seen, everything = sum(counts[1:]), sum(totals[1:])
    expected = round_published(bound.expected)
    return Finding(
        kind="rate_rise",
        drug=drug,
        event=ANY_EVENT,
        statistic=float(now),
        threshold=round_published(bound.upper),
        table=Table(float(now), float(seen), float(all_now - now), float(everything - seen), expected),
        measures={
            "rate_ratio": round_published(now / bound.expected),
            "dispersion": round_published(bound.dispersion),
        },
        count=now,
    )
