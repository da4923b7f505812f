"""Which reports are suspected to be the same case as an earlier one. Pure, and the same in any order of the reports.

Comparing all with all is 6,000 million pairs for 111,000 reports, so only those are scored that share a blocking key:
a few things at once that a duplicate rarely loses all of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from streams.duplicates.frequencies import Frequencies
from streams.duplicates.report import Report
from streams.duplicates.score import Score, most, score, score_above
from streams.signals.hitmiss import threshold

__all__ = ["FALSE_PER_REPORT", "Found", "Suspect", "find", "pairs_within"]

FALSE_PER_REPORT = 0.001  # one false suspect in a thousand reports
LARGEST_BLOCK = 200  # reports; a key that more of them share says nothing, and costs the square of it
_TEXT_KEYS = 4  # smallest hashes of a text: texts alike by 60% share one of four in 97 of 100 cases


class Suspect(NamedTuple):
    """`report` may be the same case as `of`, which counts before it. Of several the highest score, then the first."""

    report: Report
    of: Report
    score: Score


class Found(NamedTuple):
    """The suspects in order of their reports, the least score against strangers and against neighbours in bits, and how
    many pairs had a blocking key in common."""

    suspects: list[Suspect]
    least: tuple[float, float]
    compared: int


def find(
    reports: Sequence[Report], table: Frequencies, horizon: int, false_per_report: float = FALSE_PER_REPORT
) -> Found:
    """Suspects among `reports`, each of which counts. `horizon`: how many buckets back a duplicate may lie.

    Messages of one case (topic and case id) are never suspects: their key has told already.
    """
    ordered = sorted(reports, key=lambda report: (report.bucket, report.place))
    strangers = pairs_within(ordered, horizon) / max(1, len(ordered))
    least = (threshold(strangers, false_per_report), threshold(table.neighbours, false_per_report))
    ceilings = [most(report, table) for report in ordered]
    best: dict[int, tuple[float, int]] = {}
    compared = 0
    for i, j in _candidates(ordered, table):
        one, other = ordered[i], ordered[j]
        if other.bucket - one.bucket > horizon or (one.place[0], one.case_id) == (other.place[0], other.case_id):
            continue
        compared += 1
        if found := score_above(one, other, table, least, (ceilings[i], ceilings[j])):
            best[j] = max(best.get(j, (found.bits, -i)), (found.bits, -i))
    suspects = [
        Suspect(ordered[j], ordered[-i], score(ordered[-i], ordered[j], table)) for j, (_, i) in sorted(best.items())
    ]
    return Found(suspects, least, compared)


def pairs_within(ordered: Sequence[Report], horizon: int) -> int:
    """How many pairs of reports, ordered by bucket, lie at most `horizon` buckets apart."""
    first, pairs = 0, 0
    for number, report in enumerate(ordered):
        while report.bucket - ordered[first].bucket > horizon:
            first += 1
        pairs += number - first
    return pairs


def _candidates(ordered: Sequence[Report], table: Frequencies) -> Iterator[tuple[int, int]]:
    """Pairs of indices (smaller first) with a blocking key in common, each once."""
    blocks: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, report in enumerate(ordered):
        for key in _keys(report, table):
            blocks[key].append(number)
    seen: set[int] = set()
    for block in blocks.values():
        if 1 < len(block) <= LARGEST_BLOCK:
            for i, j in combinations(block, 2):
                pair = i * len(ordered) + j
                if pair not in seen:
                    seen.add(pair)
                    yield i, j


def _keys(report: Report, table: Frequencies) -> Iterator[tuple[object, ...]]:
    rarest = min(report.events, key=lambda event: (table.term(("event", event)), event), default=None)
    exposure, onset, age, sex, region = report.exposure, report.onset, report.age, report.sex, report.region
    if exposure is not None:
        if age is not None:
            yield "exposure, age, sex", exposure, age, sex
        if rarest:
            yield "exposure, rarest event", exposure, rarest
        yield "exposure, products, sex, region", exposure, report.products, sex, region
    if onset is not None:
        if age is not None:
            yield "onset, age, sex", onset, age, sex
        if rarest:
            yield "onset, rarest event", onset, rarest
    if rarest and age is not None:
        yield "who and what", report.products, age, sex, region, rarest
    for run in report.sketch[:_TEXT_KEYS]:
        yield "text", run
