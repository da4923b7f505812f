"""The 2x2 table of a pair, recounted from the counted cases of the log; later versions of them beside it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from streams.audit.recount import DAY_MS, MICRO, Case, Position, Recount, pair_scores
from streams.audit.versions import later_versions
from streams.events import Alert, Table
from streams.monitors import Monitor

__all__ = ["PairCount", "Tables", "differ"]


class PairCount(NamedTuple):
    """A pair in the reference window that ends with a bucket: its table, and the messages of its cases."""

    table: Table
    cases: set[Position]


class Tables:
    """Tables of any pair at any bucket."""

    def __init__(self, recount: Recount, monitor: Monitor) -> None:
        self._cases = list(recount.counted())
        self._later = later_versions(recount, monitor)
        self._scores = [pair_scores(case.record) for case in self._cases]
        self._window = max(1, monitor.alarms.window_days * DAY_MS // monitor.bucket_ms)
        self._with_drug: defaultdict[str, list[int]] = defaultdict(list)
        self._with_event: defaultdict[str, list[int]] = defaultdict(list)
        self._by_bucket: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for number, case in enumerate(self._cases):
            self._by_bucket[case.bucket][case.record.stratum] += 1
            for drug in case.record.drugs:
                self._with_drug[drug].append(number)
            for event in case.record.events:
                self._with_event[event].append(number)

    def inside(self, bucket: int) -> list[Case]:
        """The counted cases of buckets in (bucket - window, bucket]."""
        return [case for case in self._cases if bucket - self._window < case.bucket <= bucket]

    def later(self, bucket: int) -> list[Case]:
        """Later versions that took effect with the closes of the same buckets, in order of (bucket, position)."""
        return [case for case in self._later if bucket - self._window < case.bucket <= bucket]

    def cases_of(self, drug: str, event: str, bucket: int) -> list[tuple[Case, int]]:
        """The pair's cases in the window that ends with `bucket`, each with the pair's score in micro."""
        numbers = [n for n in self._with_drug.get(drug, []) if bucket - self._window < self._cases[n].bucket <= bucket]
        found = ((self._cases[n], self._scores[n].get((drug, event), 0)) for n in numbers)
        return [(case, score) for case, score in found if score]

    def pair(self, drug: str, event: str, bucket: int) -> PairCount:
        """The pair over the counted cases of buckets in (bucket - window, bucket]."""

        first = bucket - self._window + 1

        def inside(number: int) -> bool:
            return first <= self._cases[number].bucket <= bucket

        cases: Counter[int] = Counter()
        for number, strata in self._by_bucket.items():
            if first <= number <= bucket:
                cases.update(strata)
        with_drug: Counter[int] = Counter()
        both, positions = 0, set()
        for number in filter(inside, self._with_drug.get(drug, [])):
            with_drug[self._cases[number].record.stratum] += 1
            score = self._scores[number].get((drug, event), 0)
            both += score
            if score:
                positions.add(self._cases[number].position)
        with_event: Counter[int] = Counter()
        for number in filter(inside, self._with_event.get(event, [])):
            record = self._cases[number].record
            with_event[record.stratum] += record.scores[record.events.index(event)]
        expected = sum(with_drug[s] * (with_event[s] / MICRO) / cases[s] for s in sorted(cases))
        n, m, total = with_drug.total() * MICRO, with_event.total(), cases.total() * MICRO
        table = Table(both / MICRO, (n - both) / MICRO, (m - both) / MICRO, (total - n - m + both) / MICRO, expected)
        return PairCount(table, positions)


def differ(alert: Alert, pair: PairCount) -> Iterator[str]:
    """How an alert's table, number of cases and evidence differ from what was recounted, in words."""
    for name, recounted in msgspec.structs.asdict(pair.table).items():
        published = getattr(alert.table, name)
        if not math.isclose(published, recounted, rel_tol=1e-9, abs_tol=1e-9):
            yield f"table.{name}: {published:.12g} in the alert, {recounted:.12g} in the log"
    if alert.cases != len(pair.cases):
        yield f"cases: {alert.cases} in the alert, {len(pair.cases)} in the log"
    if alert.cases != len(alert.evidence) + alert.evidence_omitted:
        yield f"cases: {alert.cases}, but {len(alert.evidence)} are listed and {alert.evidence_omitted} omitted"
    for case in alert.evidence:
        if (case.topic, case.partition, case.offset) not in pair.cases:
            yield f"evidence {case.topic}/{case.partition}/{case.offset}: not a case of the alert in the log"
