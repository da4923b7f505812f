"""What the assess stage holds of one source partition."""

from __future__ import annotations

from streams.assess.sequencer import Sequencer
from streams.transport import Batch, Partition

__all__ = ["Run"]


class Run:
    """A source partition while it is ours: its sequencer, and what the stage remembers of it.

    `name` is the topic's in records, `source` names it as on the broker. `until` is its end in a bounded run.
    """

    __slots__ = (
        "at_end",
        "committed",
        "complete",
        "epoch",
        "floor",
        "name",
        "quiet",
        "rewound",
        "sequencer",
        "source",
        "until",
    )

    def __init__(self, batch: Batch, name: str, until: int | None) -> None:
        self.source: Partition = batch.source
        self.name = name
        self.sequencer = Sequencer(name, batch.partition, batch.position)
        self.epoch = batch.epoch
        self.committed = batch.position
        self.until = until
        self.complete = False  # everything below `until` has its record
        self.rewound = False
        self.at_end = False
        self.quiet = True
        self.floor: int | None = None  # up to which clock ticks have said that time has passed
