"""A year of made-up reports and notes, the same for the same seed, with one planted signal from July on.

Which event follows which drug is chance, but for two pairs: the planted one, and one that every label lists.
Duplicates, follow-ups, late, disordered and broken messages are put in on purpose and counted in the `Story`. Messages
come in the order in which they are sent.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from msgspec.structs import replace

from streams.demo.broken import SPOILERS
from streams.demo.notes import write_narrative, write_note
from streams.demo.story import Story
from streams.demo.vocabulary import (
    DRUGS,
    LISTED_DRUG,
    LISTED_EVENT,
    LISTED_SHARE,
    PLANTED_DRUG,
    PLANTED_EVENT,
    draw_drug,
    draw_events,
    draw_patient,
    is_adult,
)
from streams.events import AdverseEvent, ClinicalNote, Product, SourceMessage, encode
from streams.intake.loader import Outgoing

__all__ = ["DEFAULT_SEED", "NOTES", "REPORTS", "Year", "generate_year"]

DEFAULT_SEED: Final = 11
REPORTS: Final = "adverse-events"
NOTES: Final = "clinical-notes"

FIRST: Final = date(2023, 1, 1)
LAST: Final = date(2023, 12, 31)
ONSET: Final = date(2023, 7, 3)
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

REPORTS_A_DAY: Final = 21.0
NOTES_A_DAY: Final = 1.05
ASSERTED_SHARE: Final = 0.5
PLANTED_REPORTS_A_DAY: Final = 0.25
PLANTED_NOTES_A_DAY: Final = 0.11
NARRATIVE_SHARE: Final = 0.012
AFTERMATH_SHARES: Final = (0.02, 0.004, 0.025, 0.004)  # of reports: resent, forwarded, followed up, late
COPIED_NOTE_SHARE: Final = 0.02
FOLLOW_UP_NOTE_SHARE: Final = 0.02
DISORDER_MS: Final = 20 * HOUR_MS  # less than the monitor's disorder: disordered messages are not late


class Year(NamedTuple):
    """The messages in the order in which they are sent, and the truth about them."""

    messages: list[Outgoing]
    story: Story


class _Sent(NamedTuple):
    at: int
    number: int
    topic: str
    key: str | None
    value: bytes
    received_at: int | None


def generate_year(seed: int = DEFAULT_SEED) -> Year:
    """Make the year. Equal seeds give equal bytes; every seed has its own people, days and accidents."""
    return _Generator(seed).year()


class _Generator:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.story = Story(seed, FIRST, LAST, PLANTED_DRUG, PLANTED_EVENT, ONSET)
        self.sent: list[_Sent] = []
        self.looks: set[object] = set()
        self.ids = Counter[str]()

    def year(self) -> Year:
        day = FIRST
        while day <= LAST:
            self._day(day)
            day += timedelta(days=1)
        self._break_some()
        self.sent.sort()
        self._count()
        messages = [Outgoing(s.topic, s.key.encode() if s.key else None, s.value) for s in self.sent]
        return Year(messages, self.story)

    def _day(self, day: date) -> None:
        weekday = 0.35 if day.weekday() >= 5 else 1.26
        for _ in range(self._poisson(REPORTS_A_DAY * weekday)):
            self._report(day, planted=False)
        for _ in range(self._poisson(NOTES_A_DAY * weekday)):
            self._note(day, planted=False)
        if day >= ONSET:
            for _ in range(self._poisson(PLANTED_REPORTS_A_DAY * weekday)):
                self._report(day, planted=True)
            for _ in range(self._poisson(PLANTED_NOTES_A_DAY * weekday)):
                self._note(day, planted=True)

    # ------------------------------------------------------------ cases

    def _report(self, day: date, *, planted: bool) -> None:
        """One report, and with some luck what follows from it: a copy, a follow-up, a delay."""
        report = self._unlike_others(day, planted=planted)
        self.story.reports += 1
        self.story.planted_reports += planted
        if not planted and PLANTED_EVENT in report.events and report.products[0].name == PLANTED_DRUG:
            self.story.by_chance += 1
        kinds = ("resent", "forwarded", "follow_up", "late", "")
        kind = self.chance.choices(kinds, (*AFTERMATH_SHARES, 1 - sum(AFTERMATH_SHARES)))[0]
        if kind == "late" and not planted:
            self.story.late += 1
            self._send(REPORTS, report, delay=self.chance.randint(5, 30) * DAY_MS)
            return
        self._send(REPORTS, report)
        if kind == "resent" and _is_recognisable(report):
            self._send_duplicate(kind, REPORTS, replace(report, case_id=self._id("R")), 1, 20)
        elif kind == "forwarded" and _is_recognisable(report):
            self._send_duplicate(kind, NOTES, replace(report, case_id=self._id("H")), 1, 5)
        elif kind == "follow_up":
            more = [e for e in draw_events(self.chance, report.patient, 2) if e not in report.events][:1]
            newer = replace(report, version=2, events=[*report.events, *more], serious=True, narrative=None)
            self._send_duplicate(kind, REPORTS, newer, 3, 40)

    def _unlike_others(self, day: date, *, planted: bool) -> AdverseEvent:
        """A report that no fingerprint takes for another one: duplicates are only those made on purpose."""
        while True:
            report = self._draw_report(day, planted=planted)
            events = tuple(sorted(report.events))
            look = (report.products[0].name, report.patient, report.exposure_date, report.onset_date, events)
            if look not in self.looks:
                self.looks.add(look)
                return report

    def _draw_report(self, day: date, *, planted: bool) -> AdverseEvent:
        chance = self.chance
        patient = draw_patient(chance)
        while planted and not is_adult(patient):
            patient = draw_patient(chance)
        drug = PLANTED_DRUG if planted else draw_drug(chance, patient)
        events = draw_events(chance, patient, chance.choices((1, 2, 3, 4), (35, 35, 20, 10))[0])
        if planted:
            events = [PLANTED_EVENT, *(e for e in events[:2] if e != PLANTED_EVENT)]
        elif drug == LISTED_DRUG and LISTED_EVENT not in events and chance.random() < LISTED_SHARE:
            events.append(LISTED_EVENT)
        others = [
            name for name in chance.sample(list(DRUGS), chance.choices((0, 1, 2), (60, 28, 12))[0]) if name != drug
        ]
        onset = day - timedelta(days=chance.randint(1, 40))
        return AdverseEvent(
            case_id=self._id("R"),
            products=[Product(drug), *(Product(name, "concomitant") for name in others)],
            events=events,
            received_at=self._moment(day),
            patient=patient,
            exposure_date=onset - timedelta(days=chance.randint(0, 60)) if chance.random() < 0.85 else None,
            onset_date=onset,
            serious=planted or chance.random() < 0.2,
            narrative=write_narrative(chance, drug, events[0]) if chance.random() < NARRATIVE_SHARE else None,
        )

    def _note(self, day: date, *, planted: bool) -> None:
        chance = self.chance
        patient = draw_patient(chance)
        while planted and not is_adult(patient):
            patient = draw_patient(chance)
        drug = PLANTED_DRUG if planted else draw_drug(chance, patient)
        events = draw_events(chance, patient, chance.choices((2, 3), (70, 30))[0])
        asserted = PLANTED_EVENT if planted else events[0] if chance.random() < ASSERTED_SHARE else None
        others = [event for event in events[1:] if event != asserted]
        written = write_note(chance, drug, asserted, others)
        while (patient, written.text) in self.looks:
            written = write_note(chance, drug, asserted, others)
        self.looks.add((patient, written.text))
        self.story.notes += 1
        self.story.planted_notes += planted
        self.story.by_chance += not planted and (drug, asserted) == (PLANTED_DRUG, PLANTED_EVENT)
        self.story.mentions.update(written.mentions)
        note = ClinicalNote(self._id("N"), written.text, received_at=self._moment(day), patient=patient)
        self._send(NOTES, note)
        luck = chance.random()
        if luck < COPIED_NOTE_SHARE and len(written.text) >= 60:
            self._send_duplicate("copied", NOTES, replace(note, case_id=self._id("N")), 1, 10)
        elif luck > 1 - FOLLOW_UP_NOTE_SHARE:
            more = replace(note, version=2, text=note.text + " Seen again, no change.")
            self._send_duplicate("follow_up", NOTES, more, 3, 30)

    # ------------------------------------------------------------ sending

    def _send(self, topic: str, message: SourceMessage, delay: int | None = None) -> None:
        """Send a message when it was received, most within minutes, one in twelve up to 20 hours later."""
        received = message.received_at
        assert isinstance(received, int)
        if delay is None:
            longest = DISORDER_MS if self.chance.random() < 0.08 else HOUR_MS // 6
            delay = self.chance.randint(0, longest)
        self._enqueue(received + delay, topic, message.case_id, encode(message), received)

    def _send_duplicate(self, kind: str, topic: str, message: SourceMessage, least: int, most: int) -> None:
        """Send what does not count some days after the first, unless the year is over by then."""
        assert isinstance(message.received_at, int)
        received = message.received_at + self.chance.randint(least * DAY_MS, most * DAY_MS)
        if received >= _midnight(LAST + timedelta(days=1)):
            return
        if isinstance(message, AdverseEvent):
            self.story.reports += 1
        else:
            self.story.notes += 1
        self.story.duplicates[kind] += 1
        self._send(topic, replace(message, received_at=received))

    def _break_some(self) -> None:
        """Put the broken messages among the others."""
        for spoiler in SPOILERS:
            for _ in range(spoiler.number):
                day = FIRST + timedelta(days=self.chance.randint(1, 360))
                report = self._unlike_others(day, planted=False)
                value = spoiler.spoil(self.chance, report)
                self._enqueue(self._moment(day), self.chance.choice((REPORTS, NOTES)), report.case_id, value, None)
                self.story.broken[spoiler.reason] += 1

    def _enqueue(self, at: int, topic: str, key: str | None, value: bytes, received_at: int | None) -> None:
        self.sent.append(_Sent(at, len(self.sent), topic, key, value, received_at))

    def _count(self) -> None:
        newest: Counter[str] = Counter()
        for sent in self.sent:
            self.story.messages += 1
            self.story.topics[sent.topic] += 1
            if sent.received_at is not None:
                self.story.out_of_order += sent.received_at < newest[sent.topic]
                newest[sent.topic] = max(newest[sent.topic], sent.received_at)

    # ------------------------------------------------------------ chance

    def _id(self, kind: str) -> str:
        self.ids[kind] += 1
        return f"{kind}{self.ids[kind]:06d}"

    def _moment(self, day: date) -> int:
        return _midnight(day) + self.chance.randint(7 * HOUR_MS, 20 * HOUR_MS)

    def _poisson(self, mean: float) -> int:
        """How many arrivals of a Poisson process fall into one day."""
        number, waited = 0, self.chance.expovariate(mean)
        while waited < 1:
            number += 1
            waited += self.chance.expovariate(mean)
        return number


def _is_recognisable(report: AdverseEvent) -> bool:
    """Whether a fingerprint can know the report again under another case id (streams.assess.fingerprints)."""
    return report.patient.age_years is not None and report.exposure_date is not None and len(report.events) >= 2


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
