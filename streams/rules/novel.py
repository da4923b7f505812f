"""Pairs that nobody had reported: their first cases. Pure.

The window tells which pairs might be new; their cases tell whether they are. A pair with a case in the burn-in is
background: what was reported while the monitor learnt is not news.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from streams.detect.reference import ReferenceView
from streams.events import MICRO
from streams.monitors.rules import NewPair
from streams.rules.finding import Finding, Key, Past
from streams.signals.evidence import measures
from streams.signals.gps import Prior

__all__ = ["is_new", "new_pairs"]


def new_pairs(rule: NewPair, view: ReferenceView, prior: Prior | None, past: Mapping[Key, Past]) -> Iterator[Finding]:
    """Pairs that reach the rule's number of cases in the bucket; of these `is_new` says which stand."""
    enough = rule.cases * MICRO
    for drug in sorted(view.totals.pairs):
        scores = view.drug_scores(drug).sum(axis=0)
        for event, added in sorted(view.totals.scores(drug).items()):
            now = int(scores[view.index(event)])
            if not now - added < enough <= now or ("new_pair", drug, event) in past:
                continue
            t = view.table(drug, event)
            beside = measures(a=t.a, b=t.b, c=t.c, d=t.d, expected=t.expected, prior=prior)
            yield Finding("new_pair", drug, event, t.a, float(rule.cases), t, beside)


def is_new(buckets: Sequence[int], *, bucket: int, span: int, monitored_from: int) -> bool:
    """Whether all cases of a pair, in these buckets, lie within the last `span` buckets and after the burn-in.

    >>> is_new([98, 99, 100], bucket=100, span=5, monitored_from=90)
    True
    >>> is_new([95, 99, 100], bucket=100, span=5, monitored_from=90)
    False
    """
    return min(buckets, default=bucket) > bucket - span and min(buckets, default=bucket) >= monitored_from
