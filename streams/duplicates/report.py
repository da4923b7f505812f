"""What of a message speaks for or against its being the same case as another. Held in memory only. Pure."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from streams.assess.fingerprints import LEAST_TEXT, normalised_text
from streams.events import ClinicalNote, SourceMessage

__all__ = ["Place", "Report", "are_long", "likeness", "overlap", "report_of", "sketch_of"]

SKETCH = 32  # hashes kept of a text: its likeness to another is then right within 0.09 (one standard error)
_RUN = 3  # words

Place = tuple[str, int, int]  # (topic, partition, offset)


class Report(NamedTuple):
    """One message, in the order in which messages count: (bucket, place).

    Days count from 0001-01-01. `products` and `events` are folded, sorted and distinct; `sex` and `region` are empty
    where unknown; `sketch` is empty without a text of at least 40 characters.
    """

    bucket: int
    place: Place
    case_id: str
    products: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    age: float | None = None
    sex: str = ""
    region: str = ""
    exposure: int | None = None
    onset: int | None = None
    sketch: tuple[int, ...] = ()

    @property
    def lag(self) -> int | None:
        """Days from exposure to onset."""
        return None if self.exposure is None or self.onset is None else self.onset - self.exposure


def report_of(message: SourceMessage, bucket: int, place: Place) -> Report:
    """What is compared of `message`, which counts in `bucket` and lies at `place`."""
    patient = message.patient
    report = Report(
        bucket,
        place,
        message.case_id,
        age=patient.age_years,
        sex="" if patient.sex == "U" else patient.sex,
        region=patient.region or "",
    )
    if isinstance(message, ClinicalNote):
        return report._replace(sketch=sketch_of(message.text))
    return report._replace(
        products=_folded([product.name for product in message.products]),
        events=_folded(message.events),
        exposure=message.exposure_date.toordinal() if message.exposure_date else None,
        onset=message.onset_date.toordinal() if message.onset_date else None,
        sketch=sketch_of(message.narrative) if message.narrative else (),
    )


def sketch_of(text: str) -> tuple[int, ...]:
    """The smallest hashes of the text's runs of three words, in order (a bottom-k sketch; Broder 1997)."""
    normalised = normalised_text(text)
    if len(normalised) < LEAST_TEXT:
        return ()
    words = normalised.encode().split()
    runs = {crc32(b" ".join(words[i : i + _RUN])) for i in range(max(1, len(words) - _RUN + 1))}
    return tuple(sorted(runs)[:SKETCH])


def likeness(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Of all runs of words in two texts, the share that both have (Jaccard), estimated from their sketches.

    >>> likeness((1, 2, 3), (2, 3, 4))
    0.5
    """
    if one == other:
        return 1.0
    common = set(one).intersection(other)
    if not common:
        return 0.0
    smallest = sorted({*one, *other})[:SKETCH]
    return sum(run in common for run in smallest) / len(smallest)


def are_long(one: Report, other: Report) -> bool:
    """Whether both texts have 34 words or more: two persons are seldom reported in the same 34 words."""
    return len(one.sketch) == len(other.sketch) == SKETCH


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Of all terms in two lists, the share that both have."""
    return len({*one} & {*other}) / len({*one, *other})


def _folded(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted({" ".join(name.casefold().split()) for name in names}))
