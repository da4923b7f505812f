"""Later versions of cases, recounted from the log: which of them take effect, and with which close.

The rules, written down a second time, without the code of `streams.state`:

- A message that is a duplicate and calls itself version 2 or more of its case (topic and case id) takes effect iff it
  is the highest version of that case in its bucket (of equals, at the smallest position), and no version as high as
  its own, above 1, is in the buckets of one reference window before its own.
- It takes effect with the first close at or after its bucket: buckets without a counted case are never closed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from streams.audit.recount import DAY_MS, Case, Recount
from streams.monitors import Monitor

__all__ = ["later_versions"]


def later_versions(recount: Recount, monitor: Monitor) -> list[Case]:
    """The versions that take effect, each in the bucket with whose close it does, in order of (bucket, position)."""
    window = max(1, monitor.alarms.window_days * DAY_MS // monitor.bucket_ms)
    closes = sorted({case.bucket for case in recount.counted()})
    highest: defaultdict[tuple[str, str], dict[int, Case]] = defaultdict(dict)
    for case in recount.cases:
        if case.record.version > 1:
            of_case = highest[case.record.topic, case.record.case_id]
            rival = of_case.get(case.bucket, case)
            of_case[case.bucket] = min(rival, case, key=lambda c: (-c.record.version, c.position))
    found = []
    for of_case in highest.values():
        for bucket, case in of_case.items():
            before = [c.record.version for b, c in of_case.items() if bucket - 1 - window < b < bucket]
            close = bisect_left(closes, bucket)
            if case.of is not None and case.record.version > max(before, default=1) and close < len(closes):
                found.append(case._replace(bucket=closes[close]))
    return sorted(found, key=lambda case: (case.bucket, case.position))
