"""The rules of a monitor at work: a bucket's counted cases in, findings out. Pure; what it knows comes from the log.

`evaluate` changes nothing, so it serves open buckets too; `advance` takes over a bucket that was closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.detect.contribution import Contribution
from streams.detect.reference import ReferenceView
from streams.events import Table
from streams.monitors import Monitor
from streams.rules.finding import ANY_EVENT, Finding, Key, Past, Situated, status_of
from streams.rules.single import SingleCase
from streams.rules.window import BucketFacts, RuleWindow
from streams.signals.evidence import measures
from streams.signals.expected import expected_within_strata
from streams.signals.gps import Prior
from streams.signals.rounding import round_published

__all__ = ["Findings", "RuleBook"]

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Findings:
    """What the rules find in a bucket, in order of key, and the facts it leaves."""

    facts: BucketFacts
    found: Sequence[Finding]


class RuleBook:
    """The rules' state in memory: facts of the window, and the alerts they raised (`past`)."""

    def __init__(self, monitor: Monitor, past: Mapping[Key, Past]) -> None:
        self.monitor = monitor
        self.past = dict(past)
        self.window = RuleWindow(max(1, monitor.alarms.window_days * DAY_MS // monitor.bucket_ms))
        self._single = SingleCase(monitor.rules)
        self._non_reactions = frozenset(term.casefold() for term in monitor.alarms.non_reactions)

    def facts(self, bucket: int, cases: Iterable[Contribution]) -> BucketFacts:
        """What counted cases of a bucket are to the rules."""
        return BucketFacts(bucket, cases, self.monitor.rules, self._single)

    def advance(self, findings: Findings, past: Mapping[Key, Past]) -> None:
        """Take over a closed bucket and the alerts that it raised or updated."""
        self.window.advance(findings.facts)
        self.past.update(past)

    def single(
        self, view: ReferenceView, on_top: Sequence[BucketFacts], prior: Prior | None, *, new_only: bool = False
    ) -> list[Finding]:
        """Findings of the single-case rules in the last bucket of `on_top`, which `view` is of; in order of key.

        `new_only`: none of alerts that were raised before.
        """
        return [
            self._matched(key, view, on_top, prior)
            for key in sorted(on_top[-1].matches)
            if not (new_only and key in self.past)
        ]

    def _matched(self, key: Key, view: ReferenceView, on_top: Sequence[BucketFacts], prior: Prior | None) -> Finding:
        kind, drug, event = key
        cases = self.window.cases(key, on_top)
        table = view.table(drug, event) if event != ANY_EVENT else self._drug_table(kind, drug, cases, view, on_top)
        past = self.past.get(key)
        return Finding(
            kind=kind,
            drug=drug,
            event=event,
            status=status_of(
                drug, event, listed=self.monitor.listed, non_reactions=self._non_reactions, known=past is not None
            ),
            statistic=float(len(cases)),
            threshold=1.0,
            table=_published(table),
            measures=_measures(table, prior),
            cases=cases,
            past=past,
        )

    def _drug_table(
        self, kind: str, drug: str, cases: Sequence[Situated], view: ReferenceView, on_top: Sequence[BucketFacts]
    ) -> Table:
        """The drug's cases of the kind among all its cases, beside those of other drugs."""
        n, all_cases = view.drug_cases(drug).tolist(), view.cases.tolist()
        m = self.window.of_kind(kind, len(all_cases), on_top)
        a = len(cases)
        return Table(
            a=float(a),
            b=float(sum(n) - a),
            c=float(sum(m) - a),
            d=float(sum(all_cases) - sum(n) - sum(m) + a),
            expected=expected_within_strata(with_drug=n, with_event=m, cases=all_cases),
        )


def _published(table: Table) -> Table:
    return Table(table.a, table.b, table.c, table.d, round_published(table.expected))


def _measures(table: Table, prior: Prior | None) -> dict[str, float | None]:
    return measures(a=table.a, b=table.b, c=table.c, d=table.d, expected=table.expected, prior=prior)
