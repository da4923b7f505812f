"""How the raised alerts of two monitors or replays differ."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from streams.events import Alert, rank

__all__ = ["AlertChange", "AlertName", "AlertsDiff", "compare_alerts", "newest"]

Key = tuple[str, str, str]  # (drug, event, kind): ids hold the monitor's name
FIELDS = ("raised_at", "level", "status", "cases")


class AlertName(Struct, frozen=True, order=True):
    """An alert that only one side has."""

    raised_at: str
    drug: str
    event: str
    kind: str
    level: str
    cases: int


class AlertChange(Struct, frozen=True):
    """An alert that both have: what differs, as [A, B] by field."""

    drug: str
    event: str
    kind: str
    fields: dict[str, list[object]]


class AlertsDiff(Struct):
    """`until`: the bucket up to which both were compared, None: all there is. Lists are in order of date."""

    until: int | None
    same: int = 0
    only_a: list[AlertName] = []
    only_b: list[AlertName] = []
    changed: list[AlertChange] = []

    @property
    def differs(self) -> bool:
        """Whether there is any difference."""
        return bool(self.only_a or self.only_b or self.changed)


def newest(alerts: Iterable[Alert], until: int | None = None) -> dict[Key, Alert]:
    """The newest raised or updated revision of each pair, of buckets up to `until`."""
    found: dict[Key, Alert] = {}
    for alert in alerts:
        if alert.state not in ("raised", "updated") or (until is not None and alert.bucket > until):
            continue
        key = (alert.drug, alert.event, alert.kind)
        if key not in found or rank(alert) >= rank(found[key]):
            found[key] = msgspec.structs.replace(alert, evidence=[])  # some hundred cases each: not compared
    return found


def compare_alerts(a: Iterable[Alert], b: Iterable[Alert], until: int | None = None) -> AlertsDiff:
    """Compare the newest revisions of each pair, of buckets up to `until`: date, level, status, number of cases."""
    ours, theirs = newest(a, until), newest(b, until)
    result = AlertsDiff(until)
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in theirs:
            result.only_a.append(_name(ours[key]))
        elif key not in ours:
            result.only_b.append(_name(theirs[key]))
        else:
            pairs = {name: [getattr(ours[key], name), getattr(theirs[key], name)] for name in FIELDS}
            fields = {name: values for name, values in pairs.items() if values[0] != values[1]}
            if fields:
                result.changed.append(AlertChange(*key, fields))
            else:
                result.same += 1
    result.only_a.sort()
    result.only_b.sort()
    return result


def _name(alert: Alert) -> AlertName:
    return AlertName(alert.raised_at, alert.drug, alert.event, alert.kind, alert.level, alert.cases)
