"""What was merged and what is suspected, each with its reason: what `vigilia duplicates` shows. Pure.

Nothing here holds a value that a patient has: fields are named with their outcome and weight, cases by id and place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from streams.audit.recount import Case
from streams.duplicates.frequencies import Frequencies
from streams.duplicates.report import Place, Report
from streams.duplicates.score import FieldWeight
from streams.duplicates.suspects import FALSE_PER_REPORT, Suspect, find

__all__ = ["Listing", "Merge", "Suspicion", "among", "list_duplicates"]


class Merge(msgspec.Struct, frozen=True):
    """A message that does not count, the one it is a duplicate of, and the keys that they share: the case id within
    its topic, or a fingerprint (`text`, `report`)."""

    at: str
    case_id: str
    of: str
    of_case: str
    keys: list[str]


class Suspicion(msgspec.Struct, frozen=True):
    """A message that counts and may be the same case as an earlier one that counts: the score and its terms, in bits.

    `bits` against strangers, `beside` against neighbours.
    """

    at: str
    case_id: str
    of: str
    of_case: str
    bits: float
    beside: float
    fields: list[FieldWeight]


class Listing(msgspec.Struct, frozen=True):
    """Duplicates of a log. `least`: what a suspect reaches at least; `table`: hash of the frequencies; `unread`: cases
    that count and could not be compared, since their message is gone from its topic."""

    messages: int
    counted: int
    unread: int
    false_per_report: float
    least: tuple[float, float]
    table: str
    compared: int
    merges: list[Merge]
    suspects: list[Suspicion]


def list_duplicates(
    cases: Sequence[Case],
    reports: Mapping[Place, Report],
    horizon: int,
    false_per_report: float = FALSE_PER_REPORT,
) -> Listing:
    """Merges of `cases`, and suspects among those that count. `reports`: what is known of the messages at their places,
    with any bucket; that of the case is taken. `horizon` in buckets. Suspects come by falling score."""
    counted = [case for case in cases if case.of is None]
    compared = [reports[c.position]._replace(bucket=c.bucket) for c in counted if c.position in reports]
    table = Frequencies(compared)
    found = find(compared, table, horizon, false_per_report)
    return Listing(
        messages=len(cases),
        counted=len(counted),
        unread=len(counted) - len(compared),
        false_per_report=false_per_report,
        least=found.least,
        table=table.hash,
        compared=found.compared,
        merges=_merges(cases),
        suspects=sorted(map(_suspicion, found.suspects), key=lambda suspect: (-suspect.bits, suspect.at)),
    )


def _merges(cases: Iterable[Case]) -> list[Merge]:
    by_place = {case.position: case for case in cases}
    return [
        Merge(
            _shown(case.position),
            case.record.case_id,
            _shown(case.of),
            by_place[case.of].record.case_id,
            _shared_keys(case, by_place[case.of]),
        )
        for _, case in sorted(by_place.items())
        if case.of is not None
    ]


def _shared_keys(one: Case, other: Case) -> list[str]:
    same = one.record.topic == other.record.topic and one.record.case_id == other.record.case_id
    prints = set(one.record.fingerprints) & set(other.record.fingerprints)
    return ["case id"] * same + sorted(fingerprint.partition(":")[0] for fingerprint in prints)


def _suspicion(suspect: Suspect) -> Suspicion:
    report, of, found = suspect
    fields = [field._replace(bits=round(field.bits, 2), beside=round(field.beside, 2)) for field in found.fields]
    return Suspicion(
        _shown(report.place), report.case_id, _shown(of.place), of.case_id, round(found.bits, 2),
        round(found.beside, 2), fields,
    )  # fmt: skip


def _shown(place: Place) -> str:
    return "/".join(map(str, place))


def among(suspects: Iterable[Suspicion], places: Collection[str]) -> list[Suspicion]:
    """The suspects whose both messages lie at these places: duplicates within the evidence of one alert."""
    return [suspect for suspect in suspects if suspect.at in places and suspect.of in places]
