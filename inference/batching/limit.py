"""How many batches may be with the classifier at a time. Pure: times are arguments, in seconds of any clock.

In process the right number is known (`Fixed`): as many as the model has threads, and `AHEAD`, which are tokenised or
read meanwhile, so that the model finds its next run ready, and take turns at it, so that few sentences pass many. A
server has an unknown number of instances, other clients and a network before it (`Adaptive`).
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["AHEAD", "PIECES", "SERVER_LINGER", "SERVER_PIECES", "Adaptive", "Fixed", "Limit"]

AHEAD = 5
PIECES = 1024  # budget of a batch in process
SERVER_LINGER = 0.005  # seconds; see `MicroBatcher`
SERVER_PIECES = 2048  # budget of a batch: a server, above all one with a GPU, likes them large
FEWEST = 2  # that Vegas' rule goes down to: one batch is tokenised while another is away


class Limit(Protocol):
    """What the micro-batcher asks, and tells of what became of its batches."""

    @property
    def most(self) -> int:
        """`now` is never more."""

    @property
    def now(self) -> int:
        """How many batches may be in flight; at least 1."""

    def took(self, started: float, ended: float, pieces: int, in_flight: int) -> None:
        """A batch of so many padded pieces was answered; `in_flight` is how many there were, with it, at its start."""

    def refused(self, started: float, ended: float) -> None:
        """The server refused a batch for lack of room, or did not answer in time."""


class Fixed:
    """Always the same number."""

    def __init__(self, number: int = 1 + AHEAD) -> None:
        self.most = self.now = number

    def took(self, started: float, ended: float, pieces: int, in_flight: int) -> None:
        """See `Limit`."""

    def refused(self, started: float, ended: float) -> None:
        """See `Limit`."""


class Adaptive:
    """Vegas' rule on what latency shows, TCP's halving on what the server says.

    Seconds a piece are averaged over a round of batches that began after the last change. The smallest average of this
    window (`window` seconds, and `ROUNDS`) and the one before is the cost without a queue, so of `now` batches in
    flight `now * (1 - smallest / average)` are waiting at the server (Brakmo and Peterson, TCP Vegas, 1995, with
    batches for bytes). Fewer than `FEW`: one more in flight; more than `MANY`: one less, down to two. Rounds that did
    not use all of `now` raise nothing: they show what an idle server costs. After each window a round at half the
    number looks for the cost without a queue anew, else a queue that never goes away would become the measure.

    A refusal halves the number, once for all batches that had begun before it, and for a window it stays below what
    was refused.
    """

    FEW, MANY = 1.0, 2.0
    ROUND = 4  # batches at least: one alone is noise
    ROUNDS = 16  # looks at half the number are not to cost a slow server much

    def __init__(self, most: int = 16, window: float = 15.0) -> None:
        if most < 1:
            raise ValueError("no batch could ever leave")
        self.most = most
        self.now = 1
        self._window = window
        self._changed_at = float("-inf")  # batches that began earlier say nothing of `now`
        self._window_since: float | None = None
        self._rounds = 0  # since then
        self._smallest, self._before = float("inf"), float("inf")  # in this window and in the one before
        self._ceiling, self._ceiling_at = most, float("-inf")  # `now` goes no higher within a window of that time
        self._restore: int | None = None  # what `now` was before the present look at half of it
        self._begin_round()

    def _begin_round(self) -> None:
        self._seconds = 0.0
        self._pieces = self._batches = 0
        self._used = True

    def took(self, started: float, ended: float, pieces: int, in_flight: int) -> None:
        """See `Limit`. Leave out batches that are far from full: what a call costs by itself would count as a queue."""
        if self._window_since is None:
            self._window_since = ended
        if started < self._changed_at:
            return
        self._seconds += ended - started
        self._pieces += pieces
        self._batches += 1
        self._used = self._used and in_flight >= self.now
        if self._batches >= max(self.ROUND, self.now):
            self._judge(ended)

    def refused(self, started: float, ended: float) -> None:
        """See `Limit`."""
        if started >= self._changed_at:
            self._restore = None
            self._ceiling, self._ceiling_at = self.now - 1, ended
            self._set(self.now // 2, ended)

    def _judge(self, ended: float) -> None:
        """A round is complete: compare its cost with the smallest."""
        cost = self._seconds / self._pieces
        self._smallest = min(self._smallest, cost)
        self._rounds += 1
        waiting = self.now * (1 - min(self._smallest, self._before) / cost) if cost else 0.0
        if self._restore is not None:
            now, self._restore = self._restore, None
        elif self._used and waiting < self.FEW:
            now = self.now + 1
        elif self._used and waiting > self.MANY:
            now = max(self.now - 1, min(self.now, FEWEST))
        else:
            now = self.now
        since = self._window_since if self._window_since is not None else ended
        if ended - since >= self._window and self._rounds >= self.ROUNDS:
            self._window_since, self._rounds = ended, 0
            self._before, self._smallest = self._smallest, float("inf")
            if now > 1:
                self._restore, now = now, now // 2
        self._set(now, ended)

    def _set(self, now: int, ended: float) -> None:
        most = self._ceiling if ended - self._ceiling_at < self._window else self.most
        now = max(1, min(now, most))
        if now != self.now:
            self.now, self._changed_at = now, ended
        self._begin_round()
