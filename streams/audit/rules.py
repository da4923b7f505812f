"""The table and the cases of any alert, recounted from the log: of the signal, and of the rules beside it.

Written from docs/rules.md, without the code of `streams.rules`: what both say is what the log says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from streams.audit.recount import DAY_MS, MICRO, Case, Position, pair_scores
from streams.audit.tables import PairCount, Tables
from streams.events import Alert, Assessment, Table
from streams.monitors import Monitor

__all__ = ["recounted"]


def recounted(alert: Alert, tables: Tables, monitor: Monitor) -> PairCount:
    """What the alert's table and cases are by the log."""
    if alert.kind == "rate_rise":
        return _rise(alert, tables, monitor)
    if alert.kind == "fatal":
        return _marked(alert, tables, _is_fatal)
    if alert.kind == "paediatric":
        return _marked(alert, tables, lambda record: _is_paediatric(record, monitor))
    if alert.kind in ("lot_cluster", "interaction", "masking"):
        return _counted(alert, tables)
    pair = tables.pair(alert.drug, alert.event, alert.decided)
    if alert.kind == "onset":
        dated = {case.position for case, _ in tables.cases_of(alert.drug, alert.event, alert.decided) if _dated(case)}
        return PairCount(pair.table, dated)
    if alert.kind != "designated_event":
        return pair

    least = (monitor.rules.designated_event.probability if monitor.rules.designated_event else 0) * MICRO

    def is_reason(record: Assessment) -> bool:
        score = pair_scores(record).get((alert.drug, alert.event), 0)
        return score > 0 and score >= least and _may_be_serious(record, monitor)

    serious = [case for case, _ in tables.cases_of(alert.drug, alert.event, alert.decided) if is_reason(case.record)]
    return PairCount(pair.table, _with_later(serious, tables.later(alert.decided), is_reason))


def _with_later(counted: list[Case], later: list[Case], is_reason: Callable[[Assessment], bool]) -> set[Position]:
    """The counted cases, and the versions by which other cases first became a reason for the alert."""
    positions, since = {case.position for case in counted}, dict[tuple[str, str], int]()
    for case in counted:
        since.setdefault((case.record.topic, case.record.case_id), case.bucket)
    for case in later:
        identity = (case.record.topic, case.record.case_id)
        if is_reason(case.record) and since.get(identity, case.bucket + 1) > case.bucket:
            since[identity] = case.bucket
            positions.add(case.position)
    return positions


def _dated(case: Case) -> bool:
    return case.record.facts is not None and case.record.facts.onset_days is not None


def _counted(alert: Alert, tables: Tables) -> PairCount:
    """One case one count, an event being in a case at a score of a half: within a drug's lots, or beside a masker."""
    cells, both = Counter[tuple[bool, bool]](), set()
    for case in tables.inside(alert.decided):
        record = case.record
        side = _side(alert, record)
        if side is None:
            continue
        event = any(e == alert.event and 2 * s >= MICRO for e, s in zip(record.events, record.scores, strict=True))
        cells[side, event] += 1
        if side and event:
            both.add(case.position)
    a, b, c, d = (cells[side, event] for side, event in ((True, True), (True, False), (False, True), (False, False)))
    # Without interaction the risks of two drugs add up: that baseline is the statistic's, and is taken from the alert.
    expected = alert.table.expected if alert.kind == "interaction" else (a + b) * (a + c) / (a + b + c + d)
    return PairCount(Table(a, b, c, d, expected), both)


def _side(alert: Alert, record: Assessment) -> bool | None:
    """Whether a case is in the alert's first row; None if it is in no row."""
    if alert.kind == "interaction":
        return set(alert.detail.values()) <= set(record.drugs)
    if alert.kind == "masking":
        if alert.drug in record.drugs:
            return True
        return None if alert.detail["masked by"] in record.drugs else False
    ((kind, group),) = alert.detail.items()
    lots = [lot for lot in record.facts.lots if lot.drug == alert.drug] if record.facts is not None else []
    named = {lot.lot if kind == "lot" else lot.manufacturer for lot in lots} - {None}
    return group in named if named else None


def _is_fatal(record: Assessment) -> bool:
    return record.facts is not None and record.facts.fatal


def _is_paediatric(record: Assessment, monitor: Monitor) -> bool:
    rule, facts = monitor.rules.paediatric, record.facts
    if rule is None or facts is None or facts.age is None:
        return False
    return facts.age < rule.under_years and (facts.serious is True or not rule.serious)


def _may_be_serious(record: Assessment, monitor: Monitor) -> bool:
    rule, facts = monitor.rules.designated_event, record.facts
    if facts is None or facts.serious is None:
        return rule is not None and rule.unknown_is_serious
    return facts.serious


def _marked(alert: Alert, tables: Tables, mark: Callable[[Assessment], bool]) -> PairCount:
    """The drug's cases that are marked, among all cases in the window."""
    everything, with_drug, marked, both = Counter[int](), Counter[int](), Counter[int](), list[Case]()
    for case in tables.inside(alert.decided):
        record = case.record
        everything[record.stratum] += 1
        with_drug[record.stratum] += alert.drug in record.drugs
        if mark(record):
            marked[record.stratum] += 1
            if alert.drug in record.drugs:
                both.append(case)
    a, n, m, total = len(both), with_drug.total(), marked.total(), everything.total()
    expected = sum(with_drug[s] * marked[s] / everything[s] for s in sorted(everything))
    found = _with_later(both, tables.later(alert.decided), lambda record: mark(record) and alert.drug in record.drugs)
    return PairCount(Table(a, n - a, m - a, total - n - m + a, expected), found)


def _rise(alert: Alert, tables: Tables, monitor: Monitor) -> PairCount:
    """The drug's cases of the last span beside those of the spans before, and all others'."""
    rule = monitor.rules.rate_rise
    if rule is None:
        return PairCount(Table(0, 0, 0, 0, 0), set())
    span = max(1, rule.days * DAY_MS // monitor.bucket_ms)
    recent, cells = set(), Counter[tuple[bool, bool]]()
    for case in tables.inside(alert.decided):
        back = (alert.decided - case.bucket) // span
        if back <= rule.spans:
            cells[alert.drug in case.record.drugs, back == 0] += 1
            if back == 0 and alert.drug in case.record.drugs:
                recent.add(case.position)
    a, b, c, d = (cells[drug, now] for drug, now in ((True, True), (True, False), (False, True), (False, False)))
    return PairCount(Table(a, b, c, d, (a + c) * b / (b + d) if b + d else 0.0), recent)
