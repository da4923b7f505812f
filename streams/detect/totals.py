"""Integer totals of a bucket's counted cases: what a close reads, and what stays of the bucket afterwards.

Sums of integers do not depend on the order of their terms, so neither do the totals on the order of the cases. An open
bucket's totals may be kept by adding and removing contributions as deduplication changes its mind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from streams.detect.contribution import Contribution
from streams.errors import SchemaTooNew

__all__ = ["BucketTotals", "pair_scores"]

LAYOUT = 1

Cells = dict[str, dict[int, int]]  # name -> stratum -> amount, none of them 0


def pair_scores(contribution: Contribution) -> Iterator[tuple[str, str, int]]:
    """(drug, event, micro) of each pair of a case, once a pair (its largest score), scores of 0 left out, sorted."""
    if contribution.pairs is None:
        scored = [(e, s) for e, s in zip(contribution.events, contribution.scores, strict=True) if s > 0]
        for drug in contribution.drugs:
            for event, score in scored:
                yield drug, event, score
        return
    best: dict[tuple[int, int], int] = {}
    for drug_index, event_index, micro, *_ in contribution.pairs:
        key = (drug_index, event_index)
        best[key] = max(micro, best.get(key, 0))
    for (drug_index, event_index), micro in sorted(best.items()):
        if micro > 0:
            yield contribution.drugs[drug_index], contribution.events[event_index], micro


class BucketTotals:
    """Totals of one bucket by stratum: cases (N), cases with a drug (n), event scores (m), pair scores (S).

    N and n count cases; m and S are sums of scores in micro, 10^6 for a coded term.
    """

    __slots__ = ("bucket", "cases", "drugs", "events", "pairs")

    def __init__(self, bucket: int) -> None:
        self.bucket = bucket
        self.cases: Counter[int] = Counter()
        self.drugs: Cells = {}
        self.events: Cells = {}
        self.pairs: dict[str, Cells] = {}

    @classmethod
    def of(cls, bucket: int, contributions: Iterable[Contribution]) -> BucketTotals:
        """Totals of the counted cases of a bucket."""
        totals = cls(bucket)
        for contribution in contributions:
            totals.add(contribution)
        return totals

    def add(self, contribution: Contribution) -> None:
        """Count a case."""
        self._count(contribution, 1)

    def remove(self, contribution: Contribution) -> None:
        """Take back a case that was added: the totals are as if it had never been."""
        self._count(contribution, -1)

    def _count(self, contribution: Contribution, sign: int) -> None:
        stratum = contribution.stratum
        self.cases[stratum] += sign
        if not self.cases[stratum]:
            del self.cases[stratum]
        for drug in contribution.drugs:
            _bump(self.drugs, drug, stratum, sign)
        for event, score in zip(contribution.events, contribution.scores, strict=True):
            _bump(self.events, event, stratum, sign * score)
        for drug, event, micro in pair_scores(contribution):
            cells = self.pairs.get(drug)
            if cells is None:
                cells = self.pairs[drug] = {}
            _bump(cells, event, stratum, sign * micro)
            if not cells:
                del self.pairs[drug]

    def __bool__(self) -> bool:
        return bool(self.cases)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BucketTotals):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def scores(self, drug: str) -> dict[str, int]:
        """S of each event with `drug`, over all strata."""
        return {event: sum(cells.values()) for event, cells in self.pairs.get(drug, {}).items()}

    def encode(self) -> bytes:
        """Bytes that are the same for equal totals. `decode` is the inverse."""
        drugs, events = sorted(self.drugs), sorted(self.events)
        place = {event: i for i, event in enumerate(events)}
        pairs: list[int] = []
        for i, drug in enumerate(drugs):
            for event, cells in sorted(self.pairs.get(drug, {}).items()):
                for stratum, micro in sorted(cells.items()):
                    pairs += (i, place[event], stratum, micro)
        return _encode(
            _Packed(
                LAYOUT,
                self.bucket,
                _flat(self.cases),
                [(name, _flat(self.drugs[name])) for name in drugs],
                [(name, _flat(self.events[name])) for name in events],
                pairs,
            )
        )

    @classmethod
    def decode(cls, blob: bytes) -> BucketTotals:
        """Totals from bytes. Raises SchemaTooNew if a newer vigilia wrote them."""
        (layout,) = _decode_layout(blob)
        if layout != LAYOUT:
            raise SchemaTooNew(f"bucket totals of layout {layout}, this vigilia reads {LAYOUT}")
        packed = _decode(blob)
        totals = cls(packed.bucket)
        totals.cases = Counter(_cells(packed.cases))
        totals.drugs = {name: _cells(flat) for name, flat in packed.drugs}
        totals.events = {name: _cells(flat) for name, flat in packed.events}
        values = iter(packed.pairs)
        for drug, event, stratum, micro in zip(values, values, values, values, strict=True):
            by_event = totals.pairs.setdefault(packed.drugs[drug][0], {})
            by_event.setdefault(packed.events[event][0], {})[stratum] = micro
        return totals


class _Packed(msgspec.Struct, array_like=True):
    layout: int
    bucket: int
    cases: list[int]
    drugs: list[tuple[str, list[int]]]
    events: list[tuple[str, list[int]]]
    pairs: list[int]


class _Layout(msgspec.Struct, array_like=True):
    layout: int

    def __iter__(self) -> Iterator[int]:
        yield self.layout


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_layout = msgspec.msgpack.Decoder(_Layout).decode


def _flat(cells: Mapping[int, int]) -> list[int]:
    return [number for item in sorted(cells.items()) for number in item]


def _cells(flat: list[int]) -> dict[int, int]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _bump(table: Cells, name: str, stratum: int, amount: int) -> None:
    if amount == 0:
        return
    cells = table.get(name)
    if cells is None:
        table[name] = {stratum: amount}
        return
    now = cells.get(stratum, 0) + amount
    if now:
        cells[stratum] = now
        return
    del cells[stratum]
    if not cells:
        del table[name]
