"""What the micro-batcher's status says: how full batches are, how much is padding, how long sentences wait."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from inference.padding import Padding
from streams.metrics import Histogram

__all__ = ["Figures", "Padded"]


@runtime_checkable
class Padded(Protocol):
    """A classifier that counts its padding."""

    @property
    def padding(self) -> Padding:
        """Pieces so far, with and without."""


class Figures:
    """Since the last `begin`: seconds from `classify` to the batch's start, share of its budget that a batch uses."""

    def __init__(self, classifier: object) -> None:
        self._padding = classifier.padding if isinstance(classifier, Padded) else None
        self.begin()

    def begin(self) -> None:
        """Forget what was."""
        self.queue_seconds, self.fill = Histogram(), Histogram()
        self._before = self._padding.totals() if self._padding is not None else (0, 0)

    @property
    def padding_waste(self) -> float | None:
        """Share of the pieces given to the model that was padding; None if nobody counts or nothing was given."""
        if self._padding is None:
            return None
        real, padded = (now - then for now, then in zip(self._padding.totals(), self._before, strict=True))
        return 1 - real / padded if padded else None

    def shown(self) -> dict[str, object]:
        """For a status line."""
        waste = self.padding_waste
        return {
            "batches": self.fill.count,
            "batch_fill": round(self.fill.mean, 3),
            "padding_waste": None if waste is None else round(waste, 3),
            "queue_ms_p50": round(self.queue_seconds.quantile(0.50) * 1000, 1),
            "queue_ms_p99": round(self.queue_seconds.quantile(0.99) * 1000, 1),
        }
