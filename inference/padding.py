"""How many pieces a model was given, and how many of them were padding."""

from __future__ import annotations

import threading

__all__ = ["Padding"]


class Padding:
    """Counts pieces, of text and with padding. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._real = self._padded = 0

    def add(self, real: int, padded: int) -> None:
        """A run of the model with `real` pieces of text, `padded` with the padding."""
        with self._lock:
            self._real += real
            self._padded += padded

    def totals(self) -> tuple[int, int]:
        """(pieces of text, pieces with padding) so far."""
        with self._lock:
            return self._real, self._padded

    @property
    def waste(self) -> float:
        """Share of the pieces so far that is padding; 0 before the first.

        >>> padding = Padding()
        >>> padding.add(21, 24)
        >>> padding.waste
        0.125
        """
        real, padded = self.totals()
        return 1 - real / padded if padded else 0.0
