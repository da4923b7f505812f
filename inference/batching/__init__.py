"""The micro-batcher: sentences of many messages become batches of about one length, for any classifier.

```
batcher.py    MicroBatcher: asynchronous outside, threads inside; errors, pauses, bisection
fair.py       which sentences make the next batch: turns of topics, lengths            (pure)
limit.py      how many batches may be with the classifier at a time: Fixed, Adaptive   (pure)
figures.py    fill, padding, queue time, in flight
```
Decisions and what they were measured against: docs/decisions/batching.md.
"""

from inference.batching.batcher import MicroBatcher
from inference.batching.fair import estimated_pieces
from inference.batching.limit import AHEAD, PIECES, SERVER_LINGER, SERVER_PIECES, Adaptive, Fixed, Limit

__all__ = [
    "AHEAD",
    "PIECES",
    "SERVER_LINGER",
    "SERVER_PIECES",
    "Adaptive",
    "Fixed",
    "Limit",
    "MicroBatcher",
    "estimated_pieces",
]
