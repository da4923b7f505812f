"""From the pairs that fire to records: fetches the cases they rest on and puts verdict, evidence and versions together.

Used for closed buckets (`closer`) and for open ones (`provisional`), so that a provisional alert says what the raised
one will say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from streams.alerts.record import Case, case_of, record_of
from streams.detect.alarms import Alarm, PairKey
from streams.detect.close import Detector, Evaluation, Verdict
from streams.detect.contribution import Contribution
from streams.detect.rule import RULE_VERSION
from streams.events import Alert, EvidenceCase, State, Versions
from streams.monitors import Monitor
from streams.state.parts import EvidenceRow, pairs_of

__all__ = ["Assembly", "PairCase", "in_windows", "pair_cases", "with_versions"]

DAY_MS = 86_400_000
WINDOW_DAYS = {"day": 1, "week": 7, "month": 30, "half_year": 182}  # and the reference window


@dataclass(frozen=True)
class PairCase:
    """A counted case of a pair: its bucket, the case, and the pair's score and words in it."""

    bucket: int
    contribution: Contribution
    micro: int
    drug_words: str | None
    event_words: str | None

    @classmethod
    def of_row(cls, row: EvidenceRow) -> PairCase:
        """From what the store keeps."""
        return cls(row.bucket, row.contribution, row.micro, row.drug_words, row.event_words)

    def published(self) -> EvidenceCase:
        """As the alert shows it."""
        return case_of(self.contribution, self.micro, self.drug_words, self.event_words)


def pair_cases(
    bucket: int, contributions: Iterable[Contribution], pairs: Iterable[PairKey]
) -> dict[PairKey, list[PairCase]]:
    """The cases of each of `pairs` among the counted cases of one bucket."""
    found: dict[PairKey, list[PairCase]] = {pair: [] for pair in pairs}
    drugs = {drug for drug, _ in found}
    for contribution in contributions:
        if drugs.isdisjoint(contribution.drugs):
            continue
        for drug, event, micro, *words in pairs_of(contribution):
            if (drug, event) in found:
                found[drug, event].append(PairCase(bucket, contribution, micro, *words))
    return found


@dataclass(frozen=True)
class Assembly:
    """Turns what the detector decided into alerts of one monitor."""

    monitor: Monitor
    detector: Detector
    vocabulary: str

    def verdict(self, evaluation: Evaluation, cases: Mapping[PairKey, Sequence[PairCase]]) -> Verdict:
        """The statuses, judged from the firing pairs' cases of the bystander span."""
        since = evaluation.bucket - self.detector.rule.bystander
        judged = {
            pair: [case.contribution.drugs for case in cases.get(pair, ()) if case.bucket > since]
            for pair in evaluation.pairs
        }
        return self.detector.judge(evaluation, judged)

    def records(
        self, verdict: Verdict, cases: Mapping[PairKey, Sequence[PairCase]], *, provisional: bool = False
    ) -> list[Alert]:
        """One record an alarm, with its cases of the reference window as evidence."""
        return [self._record(alarm, verdict, cases[alarm.drug, alarm.event], provisional) for alarm in verdict.alarms]

    def _record(self, alarm: Alarm, verdict: Verdict, cases: Sequence[PairCase], provisional: bool) -> Alert:
        first = verdict.remembered[alarm.drug, alarm.event].first
        state: State = "provisional" if provisional else "raised" if first == alarm.bucket else "updated"
        models = sorted({case.contribution.model for case in cases if case.contribution.model is not None})
        return record_of(
            alarm,
            [case.published() for case in cases],
            monitor=self.monitor.title,
            width_ms=self.monitor.bucket_ms,
            first=first,
            state=state,
            limit=self.monitor.evidence_limit,
            versions=Versions(
                monitor=self.monitor.settings_hash,
                rule=RULE_VERSION,
                vocabulary=self.vocabulary,
                model=", ".join(models) or None,
            ),
            windows=in_windows(alarm.bucket, [case.bucket for case in cases], self.monitor.bucket_ms),
        )


def in_windows(bucket: int, buckets: Sequence[int], width_ms: int) -> dict[str, int]:
    """How many of `buckets` lie in each trailing window that ends with `bucket`: whole buckets, at least one.

    >>> in_windows(100, [100, 99, 70, 10], 86_400_000)
    {'day': 1, 'week': 2, 'month': 2, 'half_year': 4, 'reference': 4}
    """
    lengths = {name: max(1, days * DAY_MS // width_ms) for name, days in WINDOW_DAYS.items()}
    counts = {name: sum(bucket - length < b <= bucket for b in buckets) for name, length in lengths.items()}
    return {**counts, "reference": len(buckets)}


def with_versions(evidence: Iterable[PairCase], versions: Mapping[Case, int]) -> list[PairCase]:
    """The same cases, each in its newest version as of the close."""
    result = []
    for case in evidence:
        c = case.contribution
        newest = versions.get((c.position[0], c.case_id), 0)
        if newest > c.version:
            c = msgspec.structs.replace(c, version=newest)
        result.append(replace(case, contribution=c))
    return result
