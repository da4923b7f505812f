"""Calibration and thresholds of an artefact, from sentences that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inference.calibration import PairCalibration, Platt, fit_logistic, fit_platt
from inference.conformal import Conformal, fit_conformal
from inference.decoding import DecodedSpan
from inference.graph import Raw, confidences
from training.data import Sentence

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Calibration(NamedTuple):
    """How an artefact's scores become probabilities, from which on it says yes, and which sentences it leaves open."""

    sentence: Platt
    pair: PairCalibration
    threshold: float
    pair_threshold: float
    conformal: Conformal | None = None


BLAMED = Platt(0.0, 40.0)  # every pair: where nothing shows which drug is to blame
UNCALIBRATED = Calibration(Platt(1.0, 0.0), PairCalibration(0.0, 1.0, 0.0, 0.0, BLAMED), 0.5, 0.5)


def best_threshold(probabilities: NDArray[Any], missed: float = 0.0) -> float:
    """The threshold with the largest *expected* F1 under calibrated probabilities, half-way between its neighbours.

    It needs no labels, so it does not chase the noise of a few hundred positives as the threshold of the best observed
    F1 does: on eight halvings of the development fold it gave the better F1 on the other half eight times (by .1 to 1.9
    points). It lies near half of the F1 it reaches: Lipton, Elkan & Naryanaswamy 2014, "Optimal thresholding of
    classifiers to maximize F1 measure". `missed` is how many positives have no probability at all (pairs of spans that
    were not found): they lower every F1, and with it the best threshold.

    >>> round(best_threshold(np.array([0.9, 0.8, 0.5, 0.1, 0.1])), 2)
    0.3
    """
    ordered = np.sort(probabilities)[::-1]
    f1 = 2 * np.cumsum(ordered) / (np.arange(1, len(ordered) + 1) + ordered.sum() + missed)
    best = int(np.argmax(f1))
    below = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float((ordered[best] + below) / 2)


def pair_examples(sentences: Sequence[Sentence], raws: Sequence[Raw]) -> tuple[list[list[float]], list[bool], int]:
    """Features and truth of every pair the model forms, and how many annotated pairs it forms none for.

    True = drug and effect each overlap those of an annotated pair. Overlap, not equality: "severe hypercalcemia" for
    "hypercalcemia" is the same finding to whoever counts cases.
    """
    features, truth, missed = [], [], 0
    for sentence, raw in zip(sentences, raws, strict=True):
        gold = [(sentence.drugs[d], sentence.effects[e]) for d, e in sorted(sentence.pairs)]
        met = set()
        for d, e, _ in raw.pairs:
            drug, effect = raw.drugs[d], raw.effects[e]
            hits = {
                i
                for i, (gd, ge) in enumerate(gold)
                if drug.start < gd[1] and drug.end > gd[0] and effect.start < ge[1] and effect.end > ge[0]
            }
            met |= hits
            sureness = (np.log(max(confidence, 1e-9)) for confidence in confidences(raw, d, e))
            features.append([raw.logit, *sureness])
            truth.append(bool(hits))
        missed += len(gold) - len(met)
    return features, truth, missed


def blame_of(sentences: Sequence[Sentence], raws: Sequence[Raw]) -> Platt:
    """What a pair's score says of blame, from positive sentences with pairs that are asserted and pairs that are not.

    Only pairs whose spans overlap a marked drug and a marked effect count: other mistakes are the spans' own.
    """
    scores, blamed = [], []
    for sentence, raw in zip(sentences, raws, strict=True):
        for d, e, score in raw.pairs if sentence.positive else ():
            drugs, effects = _met(raw.drugs[d], sentence.drugs), _met(raw.effects[e], sentence.effects)
            if drugs and effects:
                scores.append(score)
                blamed.append(any((i, j) in sentence.pairs for i in drugs for j in effects))
    if not any(blamed) or all(blamed):
        return BLAMED
    return fit_platt(np.array(scores), np.array(blamed))


def _met(span: DecodedSpan, marked: Sequence[tuple[int, int]]) -> list[int]:
    return [i for i, (start, end) in enumerate(marked) if span.start < end and span.end > start]


def calibrate(
    sentences: Sequence[Sentence], raws: Sequence[Raw], made: tuple[Sequence[Sentence], Sequence[Raw]] = ((), ())
) -> Calibration:
    """Calibration fitted on sentences that the model was not trained on, and the thresholds it implies.

    `made` are made sentences with drugs that are not to blame, and their readings: what the score of a pair means is
    fitted on them alone, for ADE-Corpus marks no such drug.
    """
    logits = np.array([raw.logit for raw in raws])
    labels = np.array([sentence.positive for sentence in sentences])
    platt = fit_platt(logits, labels)
    probabilities = [platt.probability(logit) for logit in logits]
    threshold = best_threshold(np.array(probabilities))
    conformal = fit_conformal(probabilities, labels.tolist())
    features, truth, missed = pair_examples(sentences, raws)
    blame = blame_of(*made)
    if not any(truth) or all(truth):
        pair = PairCalibration(platt.intercept, platt.slope, 0.0, 0.0, blame)
        return Calibration(platt, pair, threshold, threshold, conformal)
    intercept, slope, drug, effect = (float(value) for value in fit_logistic(np.array(features), np.array(truth)))
    pair = PairCalibration(intercept, slope, drug, effect, blame)
    pairs = [
        min(platt.probability(raw.logit), pair.probability(raw.logit, *confidences(raw, d, e), logit))
        for raw in raws
        for d, e, logit in raw.pairs
    ]
    return Calibration(platt, pair, threshold, best_threshold(np.array(pairs), missed), conformal)
