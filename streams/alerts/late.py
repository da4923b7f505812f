"""Late cases of pairs that have an alert: its evidence and table grow by them, and a revision says so.

A case in time that comes after an alarm waits for the next one: it is what the rule goes on counting. A late one
belongs to a time that has been judged, so readers of the alert are told at the close that took it in. No rule fired:
statistic and threshold stay those of the last alarm. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from streams.alerts.assembly import PairCase, in_windows
from streams.detect.alarms import PairKey
from streams.detect.contribution import Contribution
from streams.detect.reference import ReferenceView
from streams.detect.totals import pair_scores
from streams.events import Alert, Table
from streams.signals.evidence import measures
from streams.signals.gps import Prior
from streams.signals.rounding import round_published

__all__ = ["late_pairs", "with_late_cases"]


def late_pairs(entries: Iterable[Contribution]) -> set[PairKey]:
    """The pairs of the late ones among a bucket's counted cases."""
    return {(drug, event) for case in entries if case.late for drug, event, _ in pair_scores(case)}


def with_late_cases(
    alert: Alert, view: ReferenceView, cases: Sequence[PairCase], prior: Prior | None, *, limit: int, width_ms: int
) -> Alert:
    """The revision of a raised alert in the bucket of `view`. `cases`: the pair's in the reference window, with that
    bucket's."""
    t = view.table(alert.drug, alert.event)
    published = (case.published() for case in cases)
    newest = sorted(published, key=lambda c: (-c.received_at, c.topic, c.partition, -c.offset))
    models = sorted({case.contribution.model for case in cases if case.contribution.model is not None})
    return msgspec.structs.replace(
        alert,
        state="updated",
        bucket=view.bucket,
        decided=view.bucket,
        cases=len(newest),
        table=Table(t.a, t.b, t.c, t.d, round_published(t.expected)),
        measures=alert.measures | measures(a=t.a, b=t.b, c=t.c, d=t.d, expected=t.expected, prior=prior),
        evidence=newest[:limit],
        evidence_omitted=max(0, len(newest) - limit),
        versions=msgspec.structs.replace(alert.versions, model=", ".join(models) or None),
        windows=in_windows(view.bucket, [case.bucket for case in cases], width_ms),
    )
