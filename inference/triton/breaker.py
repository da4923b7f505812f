"""When to stop asking a server, and when to ask it again. Pure: the clock and the spread of pauses are arguments.

```
            failures in a row, or trip()                  pause is over
  CLOSED ───────────────────────────────> OPEN ─────────────────────────────> PROBING
    ^                                      ^                                     │
    │                                      └──────── the probe fails, longer pause
    └─────────────────────────────────────────────── the probe succeeds ─────────┘
```
A new breaker is open and its pause is over: nothing is asked of a server before a probe has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

__all__ = ["Breaker", "State"]


class State(Enum):
    """See the module's drawing."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """Opens after `failures` failures in a row. For one thread.

    The pause before a probe is `first` seconds, doubled after each probe that fails up to `longest`, and shortened by
    up to a half by `spread` (numbers in [0, 1)), so that many workers do not come back at one moment. `now`: seconds of
    a clock that never goes back.
    """

    def __init__(
        self,
        now: Callable[[], float],
        spread: Callable[[], float],
        failures: int = 2,
        first: float = 0.2,
        longest: float = 1.0,
    ) -> None:
        self._now, self._spread = now, spread
        self._limit, self._first, self._longest = failures, first, longest
        self._failures = 0
        self._pause = first
        self._until = now()
        self.state = State.OPEN

    @property
    def closed(self) -> bool:
        """Whether calls may be made."""
        return self.state is State.CLOSED

    def pause(self) -> float:
        """Seconds until a probe may begin; 0 if it may now. Of use while the breaker is open."""
        return max(0.0, self._until - self._now())

    def success(self) -> None:
        """A call was answered. What comes late, after the breaker has opened, changes nothing."""
        if self.closed:
            self._failures = 0

    def failure(self) -> None:
        """A call failed. What comes late changes nothing."""
        if self.closed:
            self._failures += 1
            if self._failures >= self._limit:
                self.trip()

    def trip(self) -> None:
        """Open at once; no effect if it is not closed."""
        if self.closed:
            self._open()

    def probe(self) -> bool:
        """Begin a probe; False if it is too early, one is under way, or the breaker is closed."""
        if self.state is not State.OPEN or self.pause() > 0:
            return False
        self.state = State.PROBING
        return True

    def probed(self, well: bool) -> None:
        """The probe has ended. Raises ValueError if none was under way."""
        if self.state is not State.PROBING:
            raise ValueError(f"no probe is under way: {self.state.value}")
        if well:
            self.state, self._failures, self._pause = State.CLOSED, 0, self._first
        else:
            self._open()

    def _open(self) -> None:
        self.state = State.OPEN
        self._until = self._now() + self._pause * (1 - self._spread() / 2)
        self._pause = min(2 * self._pause, self._longest)
