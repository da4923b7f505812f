"""Alarm state of one drug over all events: values, snapshots, and their bytes.

Every array has a column for each event of the vocabulary as it was when the drug was last touched, and one more at its
end: the *phantom*, the state of an event that was never seen. An event that appears later starts, for every drug, from
the drug's phantom column, exactly as if it had been in the vocabulary from the start; so the vocabulary's growth never
decides an alert.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.errors import SchemaTooNew, StateConflict
from streams.events import Level
from streams.signals.rule import AlarmRule

__all__ = ["DrugState", "Snapshot"]

LAYOUT = 2
NO_DAY = -(2**62)

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


Number = TypeVar("Number", np.float64, np.int64)


def _stretched(array: NDArray[Number], size: int) -> NDArray[Number]:
    """Columns 0..size-1 and the phantom; new columns repeat the phantom."""
    missing = size + 1 - array.shape[-1]
    if missing < 0:
        raise StateConflict(f"a drug's state covers {array.shape[-1] - 1} events, the vocabulary has {size}")
    return np.concatenate([array, np.repeat(array[..., -1:], missing, axis=-1)], axis=-1) if missing else array


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Cumulative counts at the end of the buckets below `number` * the rule's snapshot distance."""

    number: int
    score: Counts
    expected: Floats
    days: Counts


@dataclass(frozen=True, eq=False)
class DrugState:
    """Alarm state of a drug after its last bucket with a case.

    `bucket`: that bucket · `ordinal`: monitored buckets closed up to and including it · `statistics`, `strong`: M of
    the levels early and strong, one row a theta · `score`, `expected`, `days`: cumulative S in micro, E and days with a
    case · `last_day`: of the newest case.
    """

    bucket: int
    ordinal: int
    statistics: Floats
    strong: Floats
    score: Counts
    expected: Floats
    days: Counts
    last_day: Counts
    snapshots: tuple[Snapshot, ...] = ()

    @classmethod
    def empty(cls, *, bucket: int, ordinal: int, grant: float, rule: AlarmRule) -> DrugState:
        """State of a drug before its first case, for an empty vocabulary: the phantom column alone. `grant`: what its
        pairs get out of the reserve."""
        return cls(
            bucket=bucket,
            ordinal=ordinal,
            statistics=np.full((len(rule.thetas), 1), rule.head_start),
            strong=np.full((len(rule.strong_thetas), 1), rule.strong_head_start + grant),
            score=np.zeros(1, np.int64),
            expected=np.zeros(1),
            days=np.zeros(1, np.int64),
            last_day=np.full(1, NO_DAY, np.int64),
        )

    def stretched(self, size: int) -> DrugState:
        """The same state over a vocabulary of `size` events."""
        return replace(
            self,
            statistics=_stretched(self.statistics, size),
            strong=_stretched(self.strong, size),
            score=_stretched(self.score, size),
            expected=_stretched(self.expected, size),
            days=_stretched(self.days, size),
            last_day=_stretched(self.last_day, size),
        )

    def with_snapshot(self, *, bucket: int, every: int, oldest_needed: int) -> DrugState:
        """Add the snapshot of a boundary crossed since the last case, and drop those before the one in force then.

        Between two touches nothing changes, so one snapshot stands for all boundaries crossed in between.
        `oldest_needed` is the smallest number that will still be looked up.
        """
        number = self.bucket // every + 1
        snapshots = self.snapshots
        if bucket // every >= number:
            snapshots = (*snapshots, Snapshot(number, self.score, self.expected, self.days))
        in_force = [s.number for s in snapshots if s.number <= oldest_needed]
        kept = tuple(s for s in snapshots if not in_force or s.number >= in_force[-1])
        if len(kept) == len(self.snapshots) and bucket // every < number:
            return self
        return replace(self, snapshots=kept)

    def at(self, number: int, size: int) -> Snapshot:
        """Counts at boundary `number`, over `size` events and the phantom; zeros if the drug had no case by then."""
        found = None
        for snapshot in self.snapshots:
            if snapshot.number <= number:
                found = snapshot
        if found is None:
            zeros = np.zeros(size + 1, np.int64)
            return Snapshot(number, zeros, np.zeros(size + 1), zeros)
        return Snapshot(
            number, _stretched(found.score, size), _stretched(found.expected, size), _stretched(found.days, size)
        )

    def alarmed(self, column: int, levels: Iterable[Level]) -> DrugState:
        """The state once the levels that fired have begun again from nothing at an event."""
        changed = {}
        for level in levels:
            name = "statistics" if level == "early" else "strong"
            changed[name] = getattr(self, name).copy()
            changed[name][:, column] = 0.0
        return replace(self, **changed)

    def encode(self) -> bytes:
        """Bytes, little-endian, the same for equal states. Counts are sparse; statistics and expectations are dense."""
        packed = _Packed(
            LAYOUT,
            self.bucket,
            self.ordinal,
            len(self.statistics),
            self.score.shape[0],
            _dense(self.statistics),
            _dense(self.strong),
            _dense(self.expected),
            _sparse(self.score, self.days, self.last_day),
            [(s.number, s.score.shape[0], _dense(s.expected), _sparse(s.score, s.days)) for s in self.snapshots],
        )
        return _encode(packed)

    @classmethod
    def decode(cls, blob: bytes) -> DrugState:
        """State from bytes. Raises SchemaTooNew if a newer vigilia wrote them."""
        layout = _decode_layout(blob).layout
        if layout != LAYOUT:
            raise SchemaTooNew(f"drug state of layout {layout}, this vigilia reads {LAYOUT}")
        p = _decode(blob)
        score, days, last_day = _filled(p.counts, p.width, (0, 0, NO_DAY))
        snapshots = []
        for number, width, expected, counts in p.snapshots:
            old_score, old_days = _filled(counts, width, (0, 0))
            snapshots.append(Snapshot(number, old_score, _floats(expected), old_days))
        return cls(
            bucket=p.bucket,
            ordinal=p.ordinal,
            statistics=_floats(p.statistics).reshape(p.thetas, p.width),
            strong=_floats(p.strong).reshape(-1, p.width),
            score=score,
            expected=_floats(p.expected),
            days=days,
            last_day=last_day,
            snapshots=tuple(snapshots),
        )


class _Layout(msgspec.Struct, array_like=True):
    layout: int


class _Packed(msgspec.Struct, array_like=True):
    layout: int
    bucket: int
    ordinal: int
    thetas: int
    width: int
    statistics: bytes
    strong: bytes
    expected: bytes
    counts: bytes
    snapshots: list[tuple[int, int, bytes, bytes]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_layout = msgspec.msgpack.Decoder(_Layout).decode


def _dense(values: Floats) -> bytes:
    return values.astype("<f8").tobytes()


def _floats(blob: bytes) -> Floats:
    return np.frombuffer(blob, "<f8").astype(np.float64)


def _sparse(*arrays: Counts) -> bytes:
    """Columns where the first array is not zero: their numbers, then each array's values there."""
    columns = np.flatnonzero(arrays[0])
    return np.stack([columns, *(array[columns] for array in arrays)]).astype("<i8").tobytes()


def _filled(blob: bytes, width: int, blanks: tuple[int, ...]) -> list[Counts]:
    columns, *rows = np.frombuffer(blob, "<i8").astype(np.int64).reshape(1 + len(blanks), -1)
    result = []
    for row, blank in zip(rows, blanks, strict=True):
        array = np.full(width, blank, np.int64)
        array[columns] = row
        result.append(array)
    return result
