"""Event time: which bucket a time falls in, and how far a source partition has got.

Times are integer milliseconds since 1970-01-01 UTC. A bucket is a number, `floor(time / width)`; bucket b covers the
times `[b * width, (b + 1) * width)`, also before 1970. Every place that needs one of these rules calls this module:
Redis holds the floors it is given and does no arithmetic of its own on times.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Timing"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How a monitor cuts time: `width` of a bucket and `disorder` that a partition is allowed, in milliseconds.

    >>> day = Timing(width=86_400_000, disorder=86_400_000)
    >>> day.bucket(-1), day.bucket(0), day.floor(3 * 86_400_000)
    (-1, 0, 2)
    """

    width: int
    disorder: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.disorder < 0:
            raise ValueError(f"width must be >= 1 and disorder >= 0, got {self.width} and {self.disorder}")

    def bucket(self, time: int) -> int:
        """The bucket that covers `time`."""
        return time // self.width

    def floor(self, latest: int) -> int:
        """The first bucket that is still open to a partition whose largest received_at so far is `latest`.

        The partition has passed every bucket below it: what arrives for one of those is late.
        """
        return (latest - self.disorder) // self.width

    def place(self, time: int, latest: int) -> tuple[int, bool]:
        """The bucket a message of `time` counts in, and whether it is late, `latest` including the message itself."""
        own, floor = time // self.width, (latest - self.disorder) // self.width
        return (floor, True) if own < floor else (own, False)
