"""Readings of sentences that came before: notes repeat themselves ("No known drug allergies.").

The key is the exact text. A hash of it would be smaller, and with 64 bits two sentences of a year's notes may share
one: then somebody gets the reading of another patient's sentence. It is kept in memory alone, never written, and shows
nothing of itself in a log.
"""

from __future__ import annotations

from collections import OrderedDict

from inference.classifier import Reading

__all__ = ["SentenceCache"]


class SentenceCache:
    """The readings of the `size` sentences that were asked for last. For one thread (the event loop's).

    `hits` and `misses` count what `get` answered. A reading depends on its sentence alone, so none grows old.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a cache of no sentences: leave it out instead")
        self.size = size
        self.hits = self.misses = 0
        self._readings: OrderedDict[str, Reading] = OrderedDict()

    def __len__(self) -> int:
        return len(self._readings)

    def get(self, sentence: str) -> Reading | None:
        """The reading of exactly this text, or None."""
        reading = self._readings.get(sentence)
        if reading is None:
            self.misses += 1
            return None
        self.hits += 1
        self._readings.move_to_end(sentence)
        return reading

    def put(self, sentence: str, reading: Reading) -> None:
        """Keep a reading; the one that was not asked for longest goes."""
        self._readings[sentence] = reading
        self._readings.move_to_end(sentence)
        if len(self._readings) > self.size:
            self._readings.popitem(last=False)
