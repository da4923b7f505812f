"""From a monitor's assessments topic, or from files of reports, into a spool."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from streams.assess.assessor import Assessor, Draft, Origin
from streams.budget.spool import Spool
from streams.detect.progress import Source, SourceState, advance
from streams.detect.time import Timing
from streams.errors import ConfigurationError
from streams.events import AssessmentRecord, SourceMessage, encode
from streams.monitors import Monitor

__all__ = ["assessed", "fill"]

_AT_A_TIME = 1000
_KEY = b"vigilia budget-check"  # of fingerprints that nobody keeps
_DAY_MS = 86_400_000


def fill(spool: Spool, records: Iterable[AssessmentRecord], monitor: Monitor) -> int:
    """Place records in their buckets as the worker does, and leave those that count; how many that are.

    Raises StateConflict for a record of a topic or partition that the monitor does not list.
    """
    timing = Timing(monitor.bucket_ms, monitor.disorder_ms)
    sources: Mapping[Source, SourceState] = dict.fromkeys(monitor.roster, SourceState())
    left = iter(records)
    while batch := list(islice(left, _AT_A_TIME)):
        step = advance(sources, batch, timing)
        sources = {**sources, **step.sources}
        spool.add(step.placed)
    return spool.settle(max(1, monitor.duplicate_horizon_days * _DAY_MS // monitor.bucket_ms))


def assessed(messages: Iterable[bytes | SourceMessage], monitor: Monitor) -> Iterator[AssessmentRecord]:
    """Records of files of reports, as the first stage makes them of one partition.

    Raises ConfigurationError for a monitor that reads text: what a classifier says is in the assessments topic.
    """
    if monitor.reads_text:
        raise ConfigurationError(
            f"monitor {monitor.name} reads text; check the budget on its assessments topic, not on files of reports"
        )
    assessor, topic = Assessor(monitor, _KEY), monitor.topics[0]
    now = time.time_ns() // 1_000_000
    for offset, message in enumerate(messages):
        value = message if isinstance(message, bytes) else encode(message)
        record = assessor.assess(Origin(topic, 0, offset, offset, now), value, None)
        assert not isinstance(record, Draft)
        yield record
