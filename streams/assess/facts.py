"""What rules beside the signal ask of a case: seriousness, death, age, onset, lots, and how full the report is. Pure.

Nothing here names a patient: an age in completed years, capped at 90; a number of days; lots of products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from streams.events import AdverseEvent, CaseFacts, Lot, Outcome, Patient, Product, Seriousness, SourceMessage

__all__ = ["OLDEST", "completeness", "facts_of", "is_fatal"]

OLDEST = 90  # ages above it are rare enough to point at a person (HIPAA's safe harbour groups 90 and over)
PENALTIES = (("onset", 0.5), ("sex", 0.7), ("age", 0.7), ("outcome", 0.7), ("region", 0.9), ("text", 0.9))
"""Factor for each missing field, as vigiGrade has them: Bergvall, Noren, Lindquist, Drug Saf 2014;37:65. Those of its
fields that a canonical message does not carry (indication, dose, type of report, reporter) are left out of it."""


def facts_of(message: SourceMessage, drug_name: Callable[[str], str], *, blamed: Iterable[str]) -> CaseFacts:
    """The facts of a report or note. `drug_name` spells a product as the case's drugs are; lots of `blamed` roles."""
    patient = message.patient
    age = None if patient.age_years is None else min(OLDEST, int(patient.age_years))
    if not isinstance(message, AdverseEvent):
        return CaseFacts(age=age, completeness=_percent(patient, None, None, has_text=True), narrative=True)
    fatal = is_fatal(message.seriousness, message.outcome)
    onset = _days(message.exposure_date, message.onset_date)
    return CaseFacts(
        serious=True if fatal or message.seriousness else message.serious,
        fatal=fatal,
        age=age,
        onset_days=onset,
        completeness=_percent(patient, onset, message.outcome, has_text=message.narrative is not None),
        narrative=message.narrative is not None,
        lots=_lots(message.products, drug_name, frozenset(blamed)),
    )


def is_fatal(seriousness: Iterable[Seriousness], outcome: Outcome | None) -> bool:
    """Whether the case ended in death."""
    return outcome == "fatal" or "death" in seriousness


def completeness(missing: Iterable[str]) -> float:
    """The product of the penalties of the fields that are missing.

    >>> completeness(()), completeness(["onset", "sex"])
    (1.0, 0.35)
    """
    absent, score = set(missing), 1.0
    for name, factor in PENALTIES:
        score *= factor if name in absent else 1.0
    return score


def _percent(patient: Patient, onset: int | None, outcome: Outcome | None, *, has_text: bool) -> int:
    present = {
        "onset": onset is not None,
        "sex": patient.sex != "U",
        "age": patient.age_years is not None,
        "outcome": outcome not in (None, "unknown"),
        "region": patient.region is not None,
        "text": has_text,
    }
    return round(100 * completeness(name for name, found in present.items() if not found))


def _days(exposure: date | None, onset: date | None) -> int | None:
    if exposure is None or onset is None or onset < exposure:
        return None
    return (onset - exposure).days


def _lots(products: Iterable[Product], drug_name: Callable[[str], str], blamed: frozenset[str]) -> tuple[Lot, ...]:
    named = {
        (drug_name(p.name), p.lot or "", p.manufacturer or "")
        for p in products
        if p.role in blamed and (p.lot or p.manufacturer)
    }
    return tuple(Lot(drug, lot or None, maker or None) for drug, lot, maker in sorted(named))
