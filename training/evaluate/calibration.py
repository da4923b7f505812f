"""Do probabilities mean what they say? The logit as it is, with a temperature, and with Platt scaling.

Each scaling is fitted on one half of the development documents and judged on the other, as everything else is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.evaluate.development import Figures, Measured, half_of
from training.evaluate.metrics import Interval, Resampling, documents_of, interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 10


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """The T that minimises the log loss of sigmoid(logit / T), by Newton's method on 1/T.

    Source: Guo et al. 2017, "On calibration of modern neural networks". Raises ValueError when no finite T > 0 does:
    labels all alike, classes separated, or scores that rank the wrong way round.
    """
    slope = 1.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(slope * logits, -30, 30)))
        gradient, curvature = float(logits @ (labels - p)), float((logits**2) @ (p * (1 - p)))
        step = gradient / max(curvature, 1e-9)
        slope += float(np.clip(step, -1, 1))
        if abs(step) < 1e-9:
            break
    if not 1e-6 < slope < 1e3 or abs(step) > 1e-3:
        raise ValueError(f"no temperature fits: 1/T = {slope:g}")
    return 1 / slope


class Bin(NamedTuple):
    """A bar of the reliability plot: how many sentences, their mean probability, their share of positives."""

    sentences: int
    probability: float
    positives: float


def _bin_rows(probabilities: NDArray[np.float64], labels: NDArray[np.bool_], bins: int) -> NDArray[np.float64]:
    """One row a sentence whose column sums are, per bin, count, probability and positives."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    rows = np.zeros((len(labels), 3, bins))
    index = np.arange(len(labels))
    rows[index, 0, which], rows[index, 1, which], rows[index, 2, which] = 1, probabilities, labels
    return rows.reshape(len(labels), 3 * bins)


def reliability(probabilities: NDArray[np.float64], labels: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """The filled bins of equal width, lowest probability first."""
    count, probability, positive = _bin_rows(probabilities, labels, bins).sum(axis=0).reshape(3, bins)
    return [Bin(int(n), float(p / n), float(y / n)) for n, p, y in zip(count, probability, positive, strict=True) if n]


def _errors(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """ECE of each row of bin sums: |mean probability - share of positives|, weighted by bin size."""
    count, probability, positive = sums.reshape(len(sums), 3, -1).transpose(1, 0, 2)
    errors: NDArray[np.float64] = np.abs(probability - positive).sum(axis=1) / count.sum(axis=1)
    return errors


def ece_interval(documents: list[str], probabilities: NDArray[np.float64], labels: NDArray[np.bool_]) -> Interval:
    """Expected calibration error over ten bins of equal width (Naeini et al. 2015).

    A resample has noise of its own in every bin, which an absolute value turns into error: the interval lies high.
    """
    return Resampling(documents).of_counts(_bin_rows(probabilities, labels, BINS), _errors)


def brier_interval(documents: list[str], probabilities: NDArray[np.float64], labels: NDArray[np.bool_]) -> Interval:
    """Mean squared difference of probability and label (Brier 1950)."""
    rows = np.column_stack([(probabilities - labels) ** 2, np.ones(len(labels))])
    sums = Resampling(documents).sums(rows)
    return interval(float(rows[:, 0].mean()), sums[:, 0] / sums[:, 1])


def scalings(measured: Measured) -> dict[str, NDArray[np.float64]]:
    """Probabilities of every sentence: raw, by temperature where one fits, by Platt scaling."""
    logits, labels = measured.logits, measured.labels
    half = np.array([half_of(s.document) for s in measured.sentences])
    raw = 1 / (1 + np.exp(-logits))
    tempered = np.zeros_like(raw)
    try:
        for side in (0, 1):
            temperature = fit_temperature(logits[half != side], labels[half != side])
            tempered[half == side] = 1 / (1 + np.exp(-logits[half == side] / temperature))
    except ValueError:  # classes a temperature can't serve, of a model too good or too bad
        return {"raw": raw, "Platt": measured.probabilities}
    return {"raw": raw, "temperature": tempered, "Platt": measured.probabilities}


def calibration_figures(measured: Measured) -> dict[str, Figures]:
    """ECE and Brier score of each scaling."""
    documents, labels = documents_of(measured.sentences), measured.labels
    return {
        name: {
            "ECE": ece_interval(documents, probabilities, labels),
            "Brier": brier_interval(documents, probabilities, labels),
        }
        for name, probabilities in scalings(measured).items()
    }
