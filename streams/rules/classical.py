"""The classical thresholds of disproportionality, for those who must report by them. Pure.

They claim no budget: on permuted data Evans' rule raises about as many alerts as on the real (docs/results/signals.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streams.detect.reference import ReferenceView
from streams.events import MICRO, Table
from streams.monitors.rules import Disproportion, Evans, Rules
from streams.rules.finding import Finding, Key, Past, is_due
from streams.signals.evidence import measures
from streams.signals.gps import Prior, posterior, quantile
from streams.signals.information import ic_gamma
from streams.signals.rounding import round_published
from streams.signals.tables import chi_squared, prr, ror

__all__ = ["disproportion"]

KINDS = ("eb05", "evans", "ic025", "ror")


def disproportion(
    rules: Rules, view: ReferenceView, prior: Prior | None, past: Mapping[Key, Past]
) -> Iterator[Finding]:
    """Pairs with a case in the bucket that meet a threshold, and did not before or with far fewer cases."""
    on = {kind: rule for kind in KINDS if isinstance(rule := getattr(rules, kind), Disproportion) and rule.on}
    least = min((rule.cases for rule in on.values()), default=0) * MICRO
    for drug in sorted(view.totals.pairs) if on else ():
        scores = view.drug_scores(drug).sum(axis=0)
        for event in sorted(view.totals.scores(drug)):
            micro = int(scores[view.index(event)])
            due = {
                kind: rule
                for kind, rule in on.items()
                if micro >= max(least, rule.cases * MICRO)
                and is_due(past.get((kind, drug, event)), micro / MICRO, rule.growth)
            }
            if due:
                yield from _met(due, drug, event, view.table(drug, event), prior)


def _met(
    due: Mapping[str, Disproportion], drug: str, event: str, table: Table, prior: Prior | None
) -> Iterator[Finding]:
    values = {kind: value for kind, rule in due.items() if (value := _value(kind, rule, table, prior)) is not None}
    if not values:
        return
    beside = measures(a=table.a, b=table.b, c=table.c, d=table.d, expected=table.expected, prior=prior)
    for kind, value in values.items():
        yield Finding(kind, drug, event, round_published(value), due[kind].threshold, table, beside)


def _value(kind: str, rule: Disproportion, t: Table, prior: Prior | None) -> float | None:
    """The measure that the rule is about, if it meets the rule."""
    if isinstance(rule, Evans):
        ratio, chi2 = prr(a=t.a, b=t.b, c=t.c, d=t.d).estimate, chi_squared(a=t.a, b=t.b, c=t.c, d=t.d)
        return (
            ratio if ratio is not None and ratio >= rule.threshold and chi2 is not None and chi2 >= rule.chi2 else None
        )
    if kind == "ror":
        value = ror(a=t.a, b=t.b, c=t.c, d=t.d).lower
    elif t.a <= t.expected:
        return None
    elif kind == "ic025":
        value = ic_gamma(observed=t.a, expected=t.expected).lower
    else:
        value = None if prior is None else quantile(posterior(n=t.a, expected=t.expected, prior=prior), 0.05)
    if value is None or value < rule.threshold or (value == rule.threshold and kind != "eb05"):
        return None
    return value
