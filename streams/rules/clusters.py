"""Lots and manufacturers whose cases hold more of an event than the drug's others. Pure.

Within the cases of a drug whose lot is known, a lot's cases of the event are hypergeometric if lots do not matter
(Fisher's exact test). An alert is the pair's; its detail names the lot or the manufacturer that stands out most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from scipy.stats import hypergeom

from streams.events import Table
from streams.monitors.rules import LotCluster
from streams.rules.finding import Finding, Key, Past, is_due
from streams.rules.joint import Joint
from streams.signals.rounding import round_published

__all__ = ["lot_clusters"]


def lot_clusters(
    rule: LotCluster, touched: Mapping[Joint, int], count: Callable[[Joint], int], past: Mapping[Key, Past]
) -> Iterator[Finding]:
    """Pairs with a lot or a manufacturer that stands out; `touched` are the counts that the bucket changed."""
    best: dict[tuple[str, str], Finding] = {}
    for key in sorted(key for key in touched if key[0] == "group" and len(key) == 5):
        _, drug, kind, group, event = key
        a = count(key)
        if a < rule.cases or not is_due(past.get(("lot_cluster", drug, event)), a, rule.growth):
            continue
        n, m, total = count(key[:4]), count(("known", drug, kind, event)), count(("known", drug, kind))
        expected = n * m / total
        p = float(hypergeom.sf(a - 1, total, m, n))
        if p > rule.p or a < rule.ratio * expected:
            continue
        finding = Finding(
            kind="lot_cluster",
            drug=drug,
            event=event,
            statistic=round_published(-math.log10(max(p, 1e-300))),
            threshold=round_published(-math.log10(rule.p)),
            table=Table(float(a), float(n - a), float(m - a), float(total - n - m + a), expected),
            measures={"observed_over_expected": round_published(a / expected), "fisher_p": round_published(p)},
            detail={kind: group},
        )
        if (drug, event) not in best or finding.statistic > best[drug, event].statistic:
            best[drug, event] = finding
    yield from best.values()
