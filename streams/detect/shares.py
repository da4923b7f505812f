"""How the false-alarm budget is shared out among pairs when nobody knows how many there will be.

A pair that gains a = s/K in each bucket, and starts with a*b, is expected to raise at most s/K * (n + b)/c false alarms
in n buckets. The budget A is kept if the shares s of all pairs together never exceed K; nothing says that there must be
K pairs of share 1. In an open vocabulary (words read in text) the pairs come in blocks:

```
block       0      1      2      3   ...   l
pairs      K/2     K     2K     4K        K/2 * 2^l
share       1     1/4   1/16   1/64       4^-l            sum of all shares: K/2 + K/4 + K/8 + ... <= K
```
So no pair is ever left out: one that comes when 4K are known already needs 64 times the statistic, and alarms later.
M is proportional to its injection, so the state kept is that of share 1, and the threshold is c/s.

Level strong keeps a part r of its budget for drugs that are new (`Reserve`): the reserve holds r*b when monitoring
begins and gains r in each closed bucket, and what every pair gains is 1 - r times the above. Drugs that are first seen
in a bucket get half of what the reserve then holds, in equal parts. A part is handed out as D/K for each pair of the
drug, where D is the number of drugs known then: the shares of its pairs, with events yet to come, are K/D at most (D
times their number is at most K; in blocks, K/2D * 2^l of them at 4^-l add up to that too). So however many drugs come,
all that was ever handed out in n buckets stays below n + b.

A pair's block is the first that had room for it at the close at which both its names were known. That depends on names
alone, never on the pair's own cases, and never changes: docs/decisions/pairs.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.signals.rule import AlarmRule

__all__ = ["Blocks", "Reserve", "factors", "grown", "pairs_in"]

Blocks = tuple[tuple[int, int], ...]
"""For each block the numbers (drugs, events) of the vocabulary when it last fitted into this block and those before."""


class Reserve(NamedTuple):
    """What a bucket takes out of the reserve for drugs that are new in it: for each of their pairs, and what stays."""

    grant: float
    left: float

    @classmethod
    def after(cls, held: float | None, *, new: int, drugs: int, rule: AlarmRule) -> Reserve:
        """For a monitored bucket in which `new` of all the `drugs` known with it are. `held`: before it, None at the
        first one.

        >>> Reserve.after(10.0, new=2, drugs=20, rule=AlarmRule(pairs=1000))
        Reserve(grant=0.05, left=5.5)
        """
        held = rule.reserve * rule.buckets_per_year if held is None else held
        granted = held / 2 if new else 0.0
        return cls(granted / max(1, new) * drugs / rule.pairs, held - granted + rule.reserve)


def room(block: int, pairs: int) -> int:
    """Pairs that fit into `block` and those before it: K/2 * (2^(block + 1) - 1)."""
    return pairs * ((1 << block + 1) - 1) // 2


def grown(blocks: Blocks, drugs: int, events: int, pairs: int) -> Blocks:
    """The blocks once the vocabulary has `drugs` and `events`; `pairs` is K. A block that is full stays as it is.

    >>> grown((), 2, 5, 20), grown(((2, 5),), 2, 6, 20)
    (((2, 5),), ((2, 5), (2, 6)))
    """
    full, last = blocks[:-1], blocks[-1] if blocks else (0, 0)
    while drugs * events > room(len(full), pairs):
        full, last = (*full, last), last
    return (*full, (drugs, events))


def factors(blocks: Blocks, drug: int, events: int) -> NDArray[np.float64]:
    """1/share of the drug of index `drug` with each of `events` events: what its threshold is multiplied with."""
    result = np.empty(events)
    begin = 0
    for block, (drugs, size) in enumerate(blocks):
        if drug < drugs and begin < size:
            result[begin:size] = 4.0**block
            begin = size
    if begin < events:
        raise ValueError(f"pair ({drug}, {begin}) is in no block of {blocks}")
    return result


def pairs_in(blocks: Sequence[tuple[int, int]]) -> list[int]:
    """How many pairs each block holds."""
    sizes = [drugs * events for drugs, events in blocks]
    return [size - before for size, before in zip(sizes, [0, *sizes], strict=False)]
