"""The score of two reports: which fields agree, and what each says for or against one case behind them. Pure.

There are two other explanations of reports that agree. *Strangers* agree by chance: against them all fields count.
*Neighbours* were given the same products at the same place on the same day, and one person reported them all in the
same words: a clinic, a campaign, siblings. Against them only what is about the person counts (age, sex, days to onset)
and a text or list of events only as far as neighbours differ in theirs. A suspect must pass against both.

Rates of error are stated, not learnt: nobody has labelled duplicates of the streams that vigilia watches. They are
deliberately generous, which costs weight where fields agree and forgives where they do not. docs/decisions/
deduplication.md says what the result is worth.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from streams.duplicates.frequencies import BANDS, DAYS_NEAR, YEARS_NEAR, Frequencies, band_of
from streams.duplicates.report import Report, are_long, likeness, overlap
from streams.signals.hitmiss import Errors, banded, discrete, ordered, terms

__all__ = ["FieldWeight", "Most", "Score", "most", "score", "score_above"]

SEX = Errors(miss=0.02)
AGE = Errors(miss=0.03, deviation=0.05)
REGION = Errors(miss=0.03)
EXPOSURE = Errors(miss=0.03, deviation=0.05)
ONSET = Errors(miss=0.05, deviation=0.10)
PRODUCTS = Errors(miss=0.05)
EVENTS = Errors(miss=0.20)  # the same story is coded anew by each sender
TEXT: Final = (
    0.20,
    0.10,
    0.15,
    0.15,
    0.40,
)  # of duplicates in each band: told anew, cut, typed again, copied
LISTS: Final = (0.08, 0.07, 0.20, 0.20, 0.45)  # of duplicates in each band of overlap of their events

_ROUNDING = 1e-6  # of a score

Outcome = Literal["hit", "near", "miss", "part", "blank", "said by text", "said by events"]


class FieldWeight(NamedTuple):
    """What one field says: its weight in bits against strangers and against neighbours, and how many terms are shared
    of how many, or the percent of a text's runs of words. Never a value: those belong to a patient."""

    field: str
    outcome: Outcome
    bits: float
    beside: float = 0.0
    shared: str = ""


class Score(NamedTuple):
    """The weights of all fields and their sums: `bits` against strangers, `beside` against neighbours."""

    bits: float
    beside: float
    fields: tuple[FieldWeight, ...]


class Most(NamedTuple):
    """What a report's products and its events can weigh at most, beside any other report."""

    products: float
    events: float


def score(one: Report, other: Report, table: Frequencies) -> Score:
    """How much speaks for one case behind both. Symmetric; depends on nothing but the reports and the frozen table."""
    return _total([*_simple(one, other, table), _products(one, other, table), *_story(one, other, table)])


def most(report: Report, table: Frequencies) -> Most:
    """The ceiling of `report` for `score_above`."""
    products, events = (
        terms(errors, [table.term((kind, name)) for name in names], 0)
        for kind, errors, names in (("product", PRODUCTS, report.products), ("event", EVENTS, report.events))
    )
    return Most(products, events)


def score_above(
    one: Report, other: Report, table: Frequencies, least: tuple[float, float], ceilings: tuple[Most, Most]
) -> Score | None:
    """The score if it reaches `least` in both sums, else None. Cheap where the simple fields say no already."""
    simple = _simple(one, other, table)
    products = min(ceiling.products for ceiling in ceilings)
    story = max(_most_text(table), min(ceiling.events for ceiling in ceilings))
    if sum(field.bits for field in simple) + products + story < least[0] - _ROUNDING:
        return None
    found = _total([*simple, _products(one, other, table), *_story(one, other, table)])
    return found if found.bits >= least[0] and found.beside >= least[1] else None


def _most_text(table: Frequencies) -> float:
    return max(banded(same, random) for same, random in zip(TEXT, table.text_bands, strict=True))


def _total(fields: list[FieldWeight]) -> Score:
    bits, beside = sum(field.bits for field in fields), sum(field.beside for field in fields)
    return Score(round(bits, 6), round(beside, 6), tuple(fields))


def _simple(one: Report, other: Report, table: Frequencies) -> list[FieldWeight]:
    exposure = _exposure(one, other, table)
    sex = _equal("sex", SEX, one.sex, other.sex, table.sex(one.sex))
    return [
        exposure,
        _onset(one, other, table, exposure.outcome),
        _age(one, other, table),
        sex._replace(beside=sex.bits),
        _equal("region", REGION, one.region, other.region, table.region(one.region)),
    ]


def _equal(name: str, errors: Errors, one: str, other: str, share: float) -> FieldWeight:
    if not one or not other:
        return FieldWeight(name, "blank", 0.0)
    same = one == other
    return FieldWeight(name, "hit" if same else "miss", discrete(errors, share if same else None))


def _outcome(same: bool, near: bool) -> Outcome:
    return "hit" if same else "near" if near else "miss"


def _exposure(one: Report, other: Report, table: Frequencies) -> FieldWeight:
    a, b = one.exposure, other.exposure
    if a is None or b is None:
        return FieldWeight("exposure date", "blank", 0.0)
    same, near, scale = a == b, abs(a - b) <= DAYS_NEAR, table.exposure
    bits = ordered(EXPOSURE, scale.share(a) if same else None, (scale.around(a), scale.around(b)) if near else None)
    return FieldWeight("exposure date", _outcome(same, near), bits)


def _onset(one: Report, other: Report, table: Frequencies, exposure: Outcome) -> FieldWeight:
    """Most onsets follow the exposure within days: where exposures agree, it is the days between that say something."""
    a, b = one.onset, other.onset
    if a is None or b is None:
        return FieldWeight("onset date", "blank", 0.0)
    same, near, scale = a == b, abs(a - b) <= DAYS_NEAR, table.onset
    shares, around = [scale.share(a)], [scale.around(a), scale.around(b)]
    if exposure in ("hit", "near") and one.lag is not None and other.lag is not None:
        shares += [table.lag.share(one.lag), table.lag.share(other.lag)]
        around = [max(around[0], table.lag.around(one.lag)), max(around[1], table.lag.around(other.lag))]
    bits = ordered(ONSET, max(shares) if same else None, (around[0], around[1]) if near else None)
    kind = same + near  # 0 apart, 1 near, 2 the same
    expected = (ONSET.pair_miss, ONSET.pair_near, ONSET.pair_hit)[kind]
    return FieldWeight("onset date", _outcome(same, near), bits, banded(expected, table.neighbour_onsets[kind]))


def _age(one: Report, other: Report, table: Frequencies) -> FieldWeight:
    a, b = one.age, other.age
    if a is None or b is None:
        return FieldWeight("age", "blank", 0.0)
    same, near, scale = a == b, abs(a - b) <= YEARS_NEAR, table.age
    share = table.age_given(a, sorted({*one.products} & {*other.products})) if same else None
    bits = ordered(AGE, share, (scale.around(a), scale.around(b)) if near else None)
    return FieldWeight("age", _outcome(same, near), bits, bits)


def _products(one: Report, other: Report, table: Frequencies) -> FieldWeight:
    shared = _shared("product", one.products, other.products)
    return _list("products", PRODUCTS, one.products, other.products, table.chain(shared))


def _story(one: Report, other: Report, table: Frequencies) -> tuple[FieldWeight, FieldWeight]:
    """Events and text. Terms are coded from the text: where both agree, the stronger has said it all."""
    events, text = _events(one, other, table), _text(one, other, table)
    if events.beside > 0 and text.beside > 0:
        kept = max(events.beside, text.beside)
        events, text = events._replace(beside=0.0), text._replace(beside=kept)
    if events.bits > 0 and text.bits > 0:
        if text.bits >= events.bits:
            return events._replace(outcome="said by text", bits=0.0), text
        return events, text._replace(outcome="said by events", bits=0.0)
    return events, text


def _events(one: Report, other: Report, table: Frequencies) -> FieldWeight:
    shared = _shared("event", one.events, other.events)
    products = _shared("product", one.products, other.products)
    field = _list("events", EVENTS, one.events, other.events, table.chain(shared, products))
    if field.outcome == "blank":
        return field
    band = band_of(overlap(one.events, other.events))
    return field._replace(beside=banded(LISTS[band], table.neighbour_event_bands[band]))


def _text(one: Report, other: Report, table: Frequencies) -> FieldWeight:
    if not one.sketch or not other.sketch:
        return FieldWeight("text", "blank", 0.0)
    alike = likeness(one.sketch, other.sketch)
    band = band_of(alike)
    outcome: Outcome = "hit" if alike >= BANDS[-1] else "part" if band else "miss"
    bits = banded(TEXT[band], table.text_bands[band])
    neighbours = table.neighbour_text_bands[are_long(one, other)]
    return FieldWeight("text", outcome, bits, banded(TEXT[band], neighbours[band]), f"{alike:.0%}")


def _list(name: str, errors: Errors, one: tuple[str, ...], other: tuple[str, ...], shares: list[float]) -> FieldWeight:
    if not one or not other:
        return FieldWeight(name, "blank", 0.0)
    together = len({*one, *other})
    outcome: Outcome = "hit" if len(shares) == together else "part" if shares else "miss"
    bits = terms(errors, shares, together - len(shares))
    return FieldWeight(name, outcome, bits, shared=f"{len(shares)} of {together}")


def _shared(kind: str, one: tuple[str, ...], other: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(kind, name) for name in sorted({*one} & {*other})]
