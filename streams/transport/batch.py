"""What the batch source hands over."""

from __future__ import annotations

from confluent_kafka import Message

__all__ = ["Batch", "Partition"]

Partition = tuple[str, int]


class Batch:
    """What came from one partition at once, in order.

    Covers the log from `position` (where the last batch ended, or the seek) up to, not including, `next`. `end` is the
    end of the log if this batch reached it: at or behind `next`, since a log may end in transaction markers. With
    `deleted` the messages of `[position, next)` no longer exist and `messages` is empty.
    """

    __slots__ = ("deleted", "end", "epoch", "messages", "next", "partition", "position", "size", "topic")

    def __init__(self, source: Partition, epoch: int, position: int) -> None:
        self.topic, self.partition = source
        self.epoch = epoch
        self.position = position
        self.next = position
        self.messages: list[Message] = []
        self.end: int | None = None
        self.deleted = False
        self.size = 0

    @property
    def source(self) -> Partition:
        """(topic, partition)."""
        return (self.topic, self.partition)

    def add(self, message: Message) -> None:
        """Take the next message."""
        self.messages.append(message)
        self.next = message.offset() + 1
        self.size += len(message)
        self.end = None
