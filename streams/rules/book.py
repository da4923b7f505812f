"""The rules of a monitor at work: a bucket's counted cases in, findings out. Pure; what it knows comes from the log.

`evaluate` changes nothing, so it serves open buckets too; `advance` takes over a bucket that was closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from streams.detect.contribution import Contribution
from streams.detect.reference import ReferenceView
from streams.events import Table
from streams.monitors import Monitor
from streams.rules.classical import disproportion
from streams.rules.clusters import lot_clusters
from streams.rules.combined import interactions, masked_pairs
from streams.rules.finding import ANY_EVENT, Finding, Key, Past, Situated, status_of
from streams.rules.joint import groups_of
from streams.rules.novel import is_new, new_pairs
from streams.rules.onset import onset_candidates, shaped
from streams.rules.rates import rate_rises
from streams.rules.single import SingleCase
from streams.rules.window import BucketFacts, RuleWindow
from streams.signals.evidence import measures
from streams.signals.expected import expected_within_strata
from streams.signals.gps import Prior

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

    def facts(self, bucket: int, cases: Iterable[Contribution], later: Iterable[Contribution] = ()) -> BucketFacts:
        """What counted cases of a bucket, and later versions that take effect with it, are to the rules."""
        facts = BucketFacts(bucket, cases, self.monitor.rules, self._single)
        for version in later:
            facts.add_later(version)
        return facts

    def asks_about(self, version: Contribution) -> bool:
        """Whether a later version of a case matches a single-case rule, so that it has to be kept."""
        return any(True for _ in self._single.keys(version))

    def advance(self, findings: Findings, past: Mapping[Key, Past]) -> None:
        """Take over a closed bucket and the alerts that it raised or updated."""
        self.window.advance(findings.facts)
        self.past.update(past)

    def single(
        self,
        view: ReferenceView,
        on_top: Sequence[BucketFacts],
        prior: Prior | None,
        *,
        without: AbstractSet[Key] = frozenset(),
    ) -> list[Finding]:
        """Findings of the single-case rules in the last bucket of `on_top`, which `view` is of, but not `without`; in
        order of key."""
        found = (self._matched(key, view, on_top, prior) for key in sorted(on_top[-1].matched() - without))
        return [finding for finding in found if finding is not None]

    def evaluate(self, view: ReferenceView, facts: BucketFacts, prior: Prior | None, *, first: int) -> list[Finding]:
        """Findings of all rules in the bucket that is being closed, in order of key. `first`: first bucket ever closed.

        Those without `cases` may still fall: `settled` says so once the pair's cases are known. Rules that compare with
        a past are silent in the burn-in.
        """
        rules, burn_in = self.monitor.rules, self.monitor.alarms.burn_in_days * DAY_MS // self.monitor.bucket_ms
        found = self.single(view, [facts], prior)
        if facts.bucket - first >= burn_in:
            compared = list(disproportion(rules, view, prior, self.past))
            if rules.new_pair is not None and rules.new_pair.on:
                compared += new_pairs(rules.new_pair, view, prior, self.past)
            compared += self._joined(view, facts)
            if rules.rate_rise is not None and rules.rate_rise.on:
                span = self._buckets(rules.rate_rise.days)
                compared += rate_rises(rules.rate_rise, self.window, facts, self.past, span=span, since=first)
            found += [self._situated(finding) for finding in compared]
        return sorted(found, key=lambda finding: finding.key)

    def _joined(self, view: ReferenceView, facts: BucketFacts) -> Iterator[Finding]:
        """Findings of the rules that look at what goes together in one case."""
        rules, count = self.monitor.rules, self.window.joint(facts)
        if rules.lot_cluster is not None and rules.lot_cluster.on:
            yield from lot_clusters(rules.lot_cluster, facts.joint, count, self.past)
        if rules.interaction is not None and rules.interaction.on:
            yield from interactions(rules.interaction, facts.joint, count, self.past)
        if rules.masking is not None and rules.masking.on:
            yield from masked_pairs(rules.masking, facts.joint, count, self.window.drugs_of(facts), self.past)
        if rules.onset is not None and rules.onset.on:
            yield from onset_candidates(rules.onset, facts.joint, count, view)

    def belongs(self, finding: Finding, case: Contribution) -> bool:
        """Whether a case of the pair is evidence for the finding."""
        if finding.kind == "lot_cluster":
            wanted = {(finding.drug, kind, group) for kind, group in finding.detail.items()}
            return not wanted.isdisjoint(groups_of(case))
        if finding.kind == "interaction":
            return set(finding.detail.values()) <= set(case.drugs)
        return finding.kind != "onset" or (case.facts is not None and case.facts.onset_days is not None)

    def settled(self, finding: Finding, cases: Sequence[Situated], *, bucket: int, first: int) -> Finding | None:
        """The finding as it stands, given all the cases that belong to it; None if it falls."""
        rules = self.monitor.rules
        if finding.kind == "onset" and rules.onset is not None:
            return shaped(rules.onset, finding, list(cases))
        if finding.kind != "new_pair" or rules.new_pair is None:
            return finding
        start = first + self.monitor.alarms.burn_in_days * DAY_MS // self.monitor.bucket_ms
        span = self._buckets(rules.new_pair.within_days)
        stands = is_new([at for at, _ in cases], bucket=bucket, span=span, monitored_from=start)
        return finding if stands else None

    def _buckets(self, days: int) -> int:
        return max(1, days * DAY_MS // self.monitor.bucket_ms)

    def _situated(self, finding: Finding) -> Finding:
        """With its past and the status that follows from it."""
        past = self.past.get(finding.key)
        status = status_of(
            finding.drug,
            finding.event,
            listed=self.monitor.listed,
            non_reactions=self._non_reactions,
            known=past is not None,
        )
        return replace(finding, past=past, status=status)

    def _matched(
        self, key: Key, view: ReferenceView, on_top: Sequence[BucketFacts], prior: Prior | None
    ) -> Finding | None:
        """What a single-case rule finds; None if the bucket's versions only say again what earlier ones said.

        A later version is evidence and changes no count, so the table is of the counted versions alone.
        """
        kind, drug, event = key
        counted, later = self.window.matched(key, on_top)
        cases = sorted([*counted, *later], key=lambda situated: (situated[0], situated[1].position))
        if cases[-1][0] != view.bucket:
            return None
        on_drug = event == ANY_EVENT
        table = self._drug_table(kind, drug, len(counted), view, on_top) if on_drug else view.table(drug, event)
        return self._situated(
            Finding(
                kind=kind,
                drug=drug,
                event=event,
                statistic=float(len(cases)),
                threshold=1.0,
                table=table,
                measures=measures(a=table.a, b=table.b, c=table.c, d=table.d, expected=table.expected, prior=prior),
                cases=cases,
            )
        )

    def _drug_table(self, kind: str, drug: str, a: int, view: ReferenceView, on_top: Sequence[BucketFacts]) -> Table:
        """The drug's cases of the kind among all its cases, beside those of other drugs."""
        n, all_cases = view.drug_cases(drug).tolist(), view.cases.tolist()
        m = self.window.of_kind(kind, len(all_cases), on_top)
        return Table(
            a=float(a),
            b=float(sum(n) - a),
            c=float(sum(m) - a),
            d=float(sum(all_cases) - sum(n) - sum(m) + a),
            expected=expected_within_strata(with_drug=n, with_event=m, cases=all_cases),
        )
