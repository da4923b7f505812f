"""From logits to probabilities that mean what they say: Platt scaling, fitted on development text only.

Subsampled negatives shift a model's prior, which a temperature alone can't mend: slope *and* intercept are fitted
(Platt 1999, "Probabilistic outputs for support vector machines").
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x) without overflow.

    >>> sigmoid(0.0), sigmoid(-1000.0)
    (0.5, 0.0)
    """
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    power = math.exp(max(x, -745.0))
    return power / (1 + power) if x > -745.0 else 0.0


class Platt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """p = sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float

    def probability(self, logit: float) -> float:
        """Probability for one logit."""
        return sigmoid(self.slope * logit + self.intercept)


class PairCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """p = sigmoid(intercept + sentence * logit + drug * ln(drug) + effect * ln(effect)) * blame(score).

    The first factor is the probability that a sentence reports such a drug and such an effect: `logit` is the
    sentence's, `ln` are of the confidences of both spans. The second, that this drug is blamed for this effect and not
    another one of the sentence, from the graph's `score` of the two. They are fitted on different text: ADE-Corpus
    marks no drug that is not to blame.
    """

    intercept: float
    sentence: float
    drug: float
    effect: float
    blame: Platt

    def probability(self, logit: float, drug_confidence: float, effect_confidence: float, score: float) -> float:
        """Probability that drug and effect are those of an annotated pair."""
        reported = sigmoid(
            self.intercept
            + self.sentence * logit
            + self.drug * math.log(max(drug_confidence, 1e-9))
            + self.effect * math.log(max(effect_confidence, 1e-9))
        )
        return reported * self.blame.probability(score)


def fit_logistic(features: NDArray[np.float64], labels: NDArray[np.bool_], ridge: float = 1e-3) -> NDArray[np.float64]:
    """Coefficients (intercept first) of a logistic regression by Newton's method, with a small ridge on the slopes.

    Raises ValueError when the labels are all alike: nothing can be calibrated on them.
    """
    if labels.all() or not labels.any():
        raise ValueError("calibration needs positive and negative labels")
    x = np.column_stack([np.ones(len(features)), features])
    penalty = np.diag([0.0] + [ridge] * features.shape[1])
    beta = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (labels - p) - penalty @ beta
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(len(beta)), gradient)
        beta += step
        if float(np.abs(step).max()) < 1e-9:
            break
    return beta


def fit_platt(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> Platt:
    """Platt scaling of logits to labels. Raises ValueError when the labels are all alike."""
    intercept, slope = fit_logistic(logits[:, None], labels)
    return Platt(slope=float(slope), intercept=float(intercept))


def expected_calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.bool_], bins: int = 10) -> float:
    """ECE over `bins` bins of equal width: mean |share of positives - mean probability|, weighted by bin size.

    Source: Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning".
    """
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    error = 0.0
    for index in range(bins):
        inside = which == index
        if inside.any():
            error += inside.mean() * abs(float(labels[inside].mean()) - float(probabilities[inside].mean()))
    return float(error)
