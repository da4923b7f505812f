"""Figures of a running worker, in memory: what its status lines print. Nothing here is a patient's or a name.

Kept by whoever makes them, no global registry. For one thread (the event loop's) unless a class says otherwise.
"""

from __future__ import annotations

import math

__all__ = ["Histogram"]

GROWTH = 1.05  # from one bucket's upper end to the next: a quantile is at most 5% too high
LEAST = 1e-5


class Histogram:
    """Durations or other positive numbers, in buckets that grow by 5%; some kilobytes whatever it is told.

    >>> waits = Histogram()
    >>> for milliseconds in range(1, 1001):
    ...     waits.add(milliseconds / 1000)
    >>> waits.count, round(waits.mean, 4), 0.99 <= waits.quantile(0.99) <= 0.99 * 1.05
    (1000, 0.5005, True)
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total = self.largest = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value; below 0.00001 it counts as that."""
        bucket = math.ceil(math.log(value / LEAST, GROWTH)) if value > LEAST else 0
        self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.count += times
        self.total += value * times
        self.largest = max(self.largest, value)

    @property
    def mean(self) -> float:
        """Mean of what was added; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The smallest bucket end that `share` of the values don't exceed, at most the largest value; 0 of nothing."""
        wanted, seen = share * self.count, 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(LEAST * GROWTH**bucket, self.largest)
        return 0.0
