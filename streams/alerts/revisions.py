"""Revisions of alerts: which are missing on the topic, and which on it will never come true.

Redis holds the newest revision of each alert (`want`), the compacted topic holds the last one published (`view`, by
offset: that is what compaction keeps). Publishing means bringing the topic up to Redis. Nobody remembers what was sent:
a worker that was away too long may put an older revision on top, Redis may be emptied and fill again, and the next
comparison mends it. Readers ignore a revision that is lower than one they have seen.

An id names a pair, not a bucket, so the order of its revisions must survive both ways of ending:
raised or updated is above everything else, for ever; below that a later bucket is above an earlier one, and in a bucket
`withdrawn` is above `provisional`. A provisional alert of a later bucket therefore revives a withdrawn one, an old
provisional one never does, and nothing covers up a raised one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from streams.events import Alert, rank

__all__ = ["Rank", "Revision", "behind", "is_provisional", "orphans", "rank_of"]

Rank = tuple[bool, int, bool]  # raised or updated, bucket, withdrawn: see events.rank


class Revision(NamedTuple):
    """An alert's id and the rank of one of its revisions."""

    id: str
    rank: Rank


def rank_of(alert: Alert) -> Rank:
    """The rank of a record as it stands on the topic."""
    return rank(alert)


def is_provisional(rank: Rank) -> bool:
    """Whether a revision of this rank is neither raised nor withdrawn."""
    raised, _, withdrawn = rank
    return not raised and not withdrawn


def behind(
    want: Mapping[str, Rank], view: Mapping[str, Rank], settled: int | None, ids: Iterable[str] | None = None
) -> list[Revision]:
    """Alerts whose revision in Redis is above the one on the topic, in order of id; only `ids` if they are given.

    A provisional one of a settled bucket is not wanted: no close will raise it any more.
    """
    missing = []
    for alert_id in sorted(want if ids is None else ids):
        wanted = want.get(alert_id)
        if wanted is None or (is_provisional(wanted) and settled is not None and wanted[1] <= settled):
            continue
        present = view.get(alert_id)
        if present is None or present < wanted:
            missing.append(Revision(alert_id, wanted))
    return missing


def orphans(
    want: Mapping[str, Rank], view: Mapping[str, Rank], settled: int | None, ids: Iterable[str] | None = None
) -> list[Revision]:
    """Provisional alerts on the topic that will not be raised, with the rank of their withdrawal, in order of id.

    An alert is one if its bucket is settled and Redis holds nothing higher that is still wanted.
    """
    result = []
    for alert_id in sorted(view if ids is None else ids):
        present = view.get(alert_id)
        if present is None or not is_provisional(present) or settled is None or present[1] > settled:
            continue
        wanted = want.get(alert_id)
        if wanted is None or (is_provisional(wanted) and wanted[1] <= settled):
            result.append(Revision(alert_id, (False, present[1], True)))
    return result
