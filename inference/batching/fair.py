"""Which sentences make the next batch: topics take turns, and a batch holds about one length. Pure.

**Turns.** Topics that have sentences waiting take turns, each worth one batch's budget of padded pieces: round robin
with overdraft (a sentence larger than the budget is taken all the same, and its topic passes as many turns as that was
worth). So of k topics with a backlog each gets a k-th of the pieces, whatever the others send.

**Lengths.** A batch is made round the sentence of the topic in turn that waits longest: all that is near it in length,
the oldest of a length first, then the next lengths, until the budget is used up. So the model gets few large runs
instead of many small ones, and nobody is passed over: a sentence waits for at most as many turns of its topic as
sentences of its topic were before it. While little waits, a batch holds everything there is, and lengths make no
difference to anybody. What the topic in turn leaves of the budget goes to the others, nearest lengths first, and is not
charged: nobody loses by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from inference.batching.request import Waiting

__all__ = ["FairQueue", "estimated_pieces"]

CHARACTERS_A_PIECE = 4  # ADE-Corpus: 4.4 on average; a short estimate would let a batch outgrow its budget
LENGTH_STEP = 4


def estimated_pieces(sentence: str) -> int:
    """Pieces a sentence takes with its padding, estimated from its characters: counting them is the thread's work.

    >>> estimated_pieces("No adverse events."), estimated_pieces("x" * 10_000)
    (8, 2504)
    """
    pieces = 2 + len(sentence) // CHARACTERS_A_PIECE
    return -(-pieces // LENGTH_STEP) * LENGTH_STEP


class _Line:
    """What waits of one topic, by padded length (none is empty), and what its turns are still worth."""

    __slots__ = ("credit", "lengths", "queued")

    def __init__(self) -> None:
        self.lengths: dict[int, deque[Waiting]] = {}
        self.queued = self.credit = 0

    def oldest(self) -> Waiting:
        """The sentence that waits longest."""
        return min((queue[0] for queue in self.lengths.values()), key=lambda waiting: waiting.number)


class FairQueue:
    """The sentences that wait for a batch. `limit` is the most sentences of one topic."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.queued = self.pieces = 0
        self._lines: dict[str, _Line] = {}  # topics that wait, in the order of their turns

    def has_room(self, topic: str, sentences: int) -> bool:
        """Whether so many more fit in. More than `limit` at once do when the topic's line is empty, else they never
        would."""
        line = self._lines.get(topic)
        return line is None or line.queued + sentences <= self.limit

    def add(self, waiting: Waiting) -> None:
        """Put a sentence at the end of its line."""
        self._queue_of(waiting).append(waiting)

    def put_back(self, batch: Iterable[Waiting]) -> None:
        """Put sentences that were taken, but not read, where they were."""
        for waiting in batch:
            queue = self._queue_of(waiting)
            earlier: list[Waiting] = []
            while queue and queue[0].number < waiting.number:
                earlier.append(queue.popleft())
            queue.appendleft(waiting)
            queue.extendleft(reversed(earlier))

    def oldest_since(self) -> float:
        """Since when the oldest sentence waits. There must be one."""
        return min(line.oldest().since for line in self._lines.values())

    def take(self, budget: int) -> tuple[list[Waiting], list[Waiting]]:
        """The next batch, of about `budget` padded pieces, and the sentences that were met and nobody wants any more.

        The batch is empty only if nothing waits that is wanted.
        """
        batch: list[Waiting] = []
        dropped: list[Waiting] = []
        while self._lines and not batch:
            topic = self._turn(budget)
            self._fill(batch, dropped, topic, budget)
        return batch, dropped

    def clear(self) -> list[Waiting]:
        """Take everything out."""
        found = [w for line in self._lines.values() for queue in line.lengths.values() for w in queue]
        self._lines.clear()
        self.queued = self.pieces = 0
        return found

    def _queue_of(self, waiting: Waiting) -> deque[Waiting]:
        line = self._lines.setdefault(waiting.topic, _Line())
        line.queued += 1
        self.queued += 1
        self.pieces += waiting.pieces
        return line.lengths.setdefault(waiting.pieces, deque())

    def _turn(self, budget: int) -> str:
        """The topic in turn; it goes to the end of the row."""
        while True:
            topic = next(iter(self._lines))
            line = self._lines[topic] = self._lines.pop(topic)
            line.credit = min(line.credit + budget, budget)
            if line.credit > 0:
                return topic

    def _fill(self, batch: list[Waiting], dropped: list[Waiting], topic: str, budget: int) -> None:
        used = 0
        for owner, length in self._candidates(topic):
            line = self._lines[owner]
            queue = line.lengths[length]
            while queue and (not batch or used + length <= budget):
                waiting = queue.popleft()
                line.queued -= 1
                self.queued -= 1
                self.pieces -= length
                if not waiting.wanted:
                    dropped.append(waiting)
                    continue
                batch.append(waiting)
                used += length
                if owner == topic:
                    line.credit -= length
            if queue:
                return  # the budget is used up; a shorter one that would still fit would only make a run of its own
            del line.lengths[length]
            if not line.lengths:
                del self._lines[owner]

    def _candidates(self, topic: str) -> Iterator[tuple[str, int]]:
        """Lines and lengths in the order in which a batch takes them: the topic in turn first, near lengths first."""
        middle = self._lines[topic].oldest().pieces

        def distance(place: tuple[str, int]) -> tuple[int, int]:
            return abs(place[1] - middle), place[1]

        yield from sorted(((topic, length) for length in self._lines[topic].lengths), key=distance)
        others = [(name, length) for name, line in self._lines.items() if name != topic for length in line.lengths]
        yield from sorted(others, key=distance)
