"""Clinical notes in our own words: styles, and sentences that say a drug did something, or did not.

A note speaks of an adverse event in one of five ways, and only the first is one: asserted; negated; historical; in the
family; or as the reason for which a drug is given.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Final, Literal, NamedTuple

from streams.demo.vocabulary import DRUGS

Mention = Literal["asserted", "negated", "historical", "family", "indication"]

MENTIONS: Final[dict[Mention, tuple[str, ...]]] = {
    "asserted": (
        "{Drug} was stopped because of {event}.",
        "Developed {event} {days} days after starting {drug}.",
        "{Event} was attributed to {drug}.",
        "The patient presented with {event} while taking {drug}.",
        "{Event} occurred after {days} days of treatment with {drug} and resolved on withdrawal.",
        "We suspect that {drug} caused the {event}.",
        "Admitted with {event} induced by {drug}.",
        "{Event} following {drug} therapy, now improving off the drug.",
        "Reports {event} as a side effect of {drug}.",
        "Had {event} within {days} days of the first dose of {drug}.",
    ),
    "negated": (
        "No {event} since {drug} was started.",
        "Denies {event} on {drug}.",
        "Tolerates {drug} well, without {event}.",
        "Was asked about {event} and has had none.",
    ),
    "historical": (
        "Past medical history includes {event}.",
        "History of {event} some {years} years ago, cause unknown.",
        "Had {event} once, {years} years ago, none since.",
    ),
    "family": (
        "Mother is known for {event}.",
        "One brother has had {event}.",
        "Family history is positive for {event}.",
    ),
    "indication": (
        "{Drug} {dose} was started for {indication}.",
        "Continues {drug} {dose} for {indication}.",
        "Takes {drug} because of {indication}.",
    ),
}

STYLES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "discharge": (
        ("Discharge summary.", "Discharged home today."),
        ("Follow-up with the family doctor in two weeks.", "Blood tests to be repeated next week."),
    ),
    "clinic": (
        ("Seen in clinic for a routine visit.", "Here for review."),
        ("Next visit in three months.", "Examination otherwise unremarkable."),
    ),
    "pharmacy": (
        ("Telephone call from the community pharmacy.", "Pharmacist called about a repeat prescription."),
        ("Prescriber will be informed.", "Advice given over the telephone."),
    ),
    "emergency": (
        ("Walked in, alert, observations stable.", "Brought in by a relative."),
        ("Reviewed by the doctor on call.", "Observed for four hours."),
    ),
    "nurse": (
        ("Nurse's home visit.", "Called the patient as agreed."),
        ("Will call again on Friday.", "Medication box checked."),
    ),
}


class Note(NamedTuple):
    """A note's text, and what is said in it."""

    text: str
    mentions: Counter[Mention]


def write_note(chance: random.Random, drug: str, asserted: str | None, others: list[str]) -> Note:
    """A note on a patient who takes `drug`. It asserts `asserted`, if that is given, and speaks of `others` in ways
    that are no adverse event of it."""
    opening, closing = chance.choice(list(STYLES.values()))
    mentions: Counter[Mention] = Counter()
    body: list[str] = []
    if asserted is not None:
        body.append(_say(chance, "asserted", drug, asserted))
        mentions["asserted"] += 1
    else:
        body.append(_say(chance, "indication", drug, ""))
        mentions["indication"] += 1
    for event in others:
        kind: Mention = chance.choices(("negated", "historical", "family"), (5, 3, 2))[0]
        body.append(_say(chance, kind, drug, event))
        mentions[kind] += 1
    if chance.random() < 0.5:
        body.reverse()
    if chance.random() < 0.6:
        body.insert(0, chance.choice(opening))
    if chance.random() < 0.4:
        body.append(chance.choice(closing))
    separator = "\n" if chance.random() < 0.3 else " "
    return Note(separator.join(body), mentions)


def write_narrative(chance: random.Random, drug: str, event: str) -> str:
    """The free text of a report: one sentence that says what is coded too."""
    return _say(chance, "asserted", drug, event)


def _say(chance: random.Random, kind: Mention, drug: str, event: str) -> str:
    about = DRUGS[drug]
    return chance.choice(MENTIONS[kind]).format(
        drug=drug,
        Drug=drug.capitalize(),
        event=event,
        Event=event.capitalize(),
        dose=about.dose,
        indication=about.indication,
        days=chance.randint(2, 30),
        years=chance.randint(2, 9),
    )
