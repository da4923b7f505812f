"""The generated year: the same for the same seed, and its story equals a recount of the messages themselves."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from streams.assess.fingerprints import Fingerprints
from streams.assess.sentences import sentences_of
from streams.demo import DEFAULT_SEED, Year, generate_year
from streams.demo.generator import NOTES, REPORTS
from streams.demo.notes import MENTIONS
from streams.demo.vocabulary import DRUGS, EVENTS
from streams.errors import InputError
from streams.events import AdverseEvent, ClinicalNote, SourceMessage
from streams.intake import parse, received_at_ms
from streams.monitors import load_monitor
from streams.terms.plain import drug_term, event_term

NOW = 1_790_000_000_000
DAY_MS = 86_400_000
INVENTED = ("tavonexin", "brelcapine", "nerimodol", "quelastat")


@pytest.fixture(scope="module")
def year() -> Year:
    return generate_year()


class Arrived(NamedTuple):
    """A message that is in order, and where it came to lie if its topic has `partitions` partitions."""

    topic: str
    partition: int
    offset: int
    message: SourceMessage
    received_at: int


def read(year: Year, partitions: int = 2) -> tuple[list[Arrived], Counter[str]]:
    """What intake makes of the year: messages in order of sending, and the reasons of the others."""
    limit = load_monitor("demo").max_message_bytes
    arrived, broken = [], Counter[str]()
    offsets: Counter[tuple[str, int]] = Counter()
    for topic, key, value in year.messages:
        partition = zlib.crc32(key or b"") % partitions
        offset = offsets[topic, partition]
        offsets[topic, partition] += 1
        try:
            message = parse(value, topic=topic, timestamp=NOW, headers=None, max_bytes=limit)
        except InputError as error:
            broken[error.reason] += 1
        else:
            assert key == message.case_id.encode()
            arrived.append(Arrived(topic, partition, offset, message, received_at_ms(message, NOW)))
    return arrived, broken


def counted(arrived: list[Arrived]) -> list[Arrived]:
    """Those that share no key with an earlier (day, topic, partition, offset); losers hold keys too."""
    fingerprints, keys, result = Fingerprints(b"k"), set[object](), []
    for item in sorted(arrived, key=lambda a: (a.received_at // DAY_MS, *a[:3])):
        own: set[object] = {(item.topic, item.message.case_id), *fingerprints.of(item.message)}
        if keys.isdisjoint(own):
            result.append(item)
        keys |= own
    return result


ASSERTED = [
    re.compile(re.sub(r"\\{(\w)\w+\\}", r"(?P<\1>.+)", re.escape(template)), re.IGNORECASE)
    for template in (t.replace("{days}", "0") for t in MENTIONS["asserted"])
]


def asserted(text: str) -> Iterator[tuple[str, str]]:
    """(drug, event) of the sentences that say a drug did something, read back by their form."""
    for sentence in sentences_of(text):
        for form in ASSERTED:
            if found := form.fullmatch(re.sub(r"\d+", "0", sentence)):
                yield (
                    found["d"].lower() if "d" in found.groupdict() else found["D"].lower(),
                    (found["e"] if "e" in found.groupdict() else found["E"]).lower(),
                )


def test_equal_seeds_give_equal_bytes(year: Year) -> None:
    again = generate_year(DEFAULT_SEED)
    assert again.messages == year.messages
    assert again.story == year.story
    assert generate_year(DEFAULT_SEED + 1).messages != year.messages


@pytest.mark.parametrize("seed", [DEFAULT_SEED, 2, 3])
def test_the_story_equals_a_recount(seed: int) -> None:
    year = generate_year(seed)
    story = year.story
    arrived, broken = read(year)
    assert story.messages == len(year.messages) == len(arrived) + broken.total()
    assert story.topics == Counter(m.topic for m in year.messages)
    assert story.broken == broken
    assert story.reports == sum(isinstance(a.message, AdverseEvent) for a in arrived)
    assert story.notes == sum(isinstance(a.message, ClinicalNote) for a in arrived)
    assert story.counted == len(counted(arrived))


@pytest.mark.parametrize("seed", [DEFAULT_SEED, 2])
def test_the_planted_pair_equals_a_recount(seed: int) -> None:
    year = generate_year(seed)
    story = year.story
    pair = (story.drug, story.event)
    days: list[date] = []
    notes = 0
    for item in counted(read(year)[0]):
        message = item.message
        if isinstance(message, AdverseEvent):
            suspects = {product.name for product in message.products if product.role == "suspect"}
            found = story.drug in suspects and story.event in message.events
        else:
            found = pair in asserted(message.text)
            notes += found
        if found:
            days.append(datetime.fromtimestamp(item.received_at / 1000, UTC).date())
    assert len(days) == story.planted_reports + story.planted_notes + story.by_chance
    assert sum(day < story.onset for day in days) <= story.by_chance
    assert story.planted_notes <= notes <= story.planted_notes + story.by_chance
    assert min(story.planted_reports, story.planted_notes) >= 5


def test_duplicates_are_of_every_kind(year: Year) -> None:
    story, (arrived, _) = year.story, read(year)
    assert {kind for kind, number in story.duplicates.items() if number >= 5} == {
        *("resent", "forwarded", "copied", "follow_up")
    }
    assert story.duplicates.total() == len(arrived) - len(counted(arrived))
    assert story.duplicates["follow_up"] == sum(a.message.version == 2 for a in arrived)
    assert story.duplicates["forwarded"] == sum(
        isinstance(a.message, AdverseEvent) for a in arrived if a.topic == NOTES
    )


@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_late_ones_are_late_and_disordered_ones_are_not(year: Year, partitions: int) -> None:
    """Whatever partition a message comes to lie in, and by the rule of the design, message by message."""
    disorder = load_monitor("demo").disorder_ms
    newest: dict[tuple[str, int], int] = {}
    late = 0
    for item in read(year, partitions)[0]:
        so_far = newest.get(item[:2], 0)
        late += item.received_at // DAY_MS < (so_far - disorder) // DAY_MS
        newest[item[:2]] = max(so_far, item.received_at)
    assert late == year.story.late > 5


def test_disorder_equals_a_recount(year: Year) -> None:
    newest = {REPORTS: 0, NOTES: 0}
    disordered = 0
    for item in read(year)[0]:
        disordered += item.received_at < newest[item.topic]
        newest[item.topic] = max(newest[item.topic], item.received_at)
    assert disordered == year.story.out_of_order > 100


def test_it_fits_the_embedded_broker_and_the_time_of_a_demo(year: Year) -> None:
    sizes: Counter[tuple[str, int]] = Counter()
    for topic, key, value in year.messages:
        sizes[topic, zlib.crc32(key or b"") % 2] += len(value or b"") + 100
    assert max(sizes.values()) < 4 * 1024 * 1024
    assert 6_000 <= year.story.reports <= 10_000
    texts = (m.text if isinstance(m, ClinicalNote) else m.narrative or "" for m in (a.message for a in read(year)[0]))
    assert 1_000 <= sum(len(sentences_of(text)) for text in texts) <= 1_600


def test_notes_speak_of_events_in_five_ways(year: Year) -> None:
    assert set(year.story.mentions) == set(MENTIONS)
    assert min(year.story.mentions.values()) > 50


def test_terms_are_spelled_as_text_is_read() -> None:
    """So that a drug of a report and the same drug of a note are one, also for a person who compares."""
    assert [drug_term(name) for name in DRUGS] == list(DRUGS)
    assert [event_term(name) for name in EVENTS] == list(EVENTS)


def test_invented_names_are_nobodys(shared_data: Path) -> None:
    assert set(INVENTED) <= set(DRUGS)
    for folder in ("vocab_rxnorm_names", "vocab_drugbank_open", "vocab_drugsfda"):
        for path in sorted((shared_data / folder).iterdir()):
            text = path.read_bytes().lower()
            assert not [name for name in INVENTED if name.encode() in text], path
