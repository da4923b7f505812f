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

A pair's block is the first that had room for it at the close at which both its names were known. That depends on names
alone, never on the pair's own cases, and never changes: docs/decisions/pairs.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blocks", "factors", "grown", "pairs_in"]

Blocks = tuple[tuple[int, int], ...]
"""For each block the numbers (drugs, events) of the vocabulary when it last fitted into this block and those before."""


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
