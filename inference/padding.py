"""How many pieces the graph was given, and how many of them were padding."""

from __future__ import annotations

import threading

__all__ = ["Padding"]


class Padding:
    """Counts pieces; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._real = self._padded = 0

    def add(self, real: int, padded: int) -> None:
        """A run of `real` pieces that took `padded` ones."""
        with self._lock:
            self._real += real
            self._padded += padded

    def totals(self) -> tuple[int, int]:
        """(real, padded) pieces so far."""
        with self._lock:
            return self._real, self._padded
