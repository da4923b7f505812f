"""The development fold: sentences, spans and pairs, with thresholds that did not see what they judge.

The artefact's own calibration and thresholds were fitted on the whole development fold, so the figures here come from
cross-fitting: the documents are halved by a hash, each half is judged with calibration and thresholds from the other
half. AUROC, average precision and spans need neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.graph import Raw, confidences
from training.data import Sentence, fold_of
from training.evaluate.metrics import (
    Hits,
    Interval,
    Resampling,
    auroc,
    average_precision,
    documents_of,
    f1s,
    matched_hits,
    overlapping,
    precision_recall,
    precisions,
    recalls,
    sentence_hits,
    set_hits,
)
from training.export.calibrate import Calibration, calibrate

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALVES_SEED = 2
CURVE_POINTS = 300

Reader = Callable[[Sequence[str]], list[Raw]]  # `OnnxClassifier.raw`
Figures = dict[str, Interval | float]
Range = tuple[int, int]
SpanPair = tuple[Range, Range]


def half_of(document: str) -> int:
    """The half of the development fold that a document lies in."""
    return fold_of(document, HALVES_SEED, 2)


@dataclass(frozen=True)
class CrossFit:
    """`calibrations[side]` was fitted on the documents of the other side, and judges those of `side`."""

    calibrations: tuple[Calibration, Calibration]

    @classmethod
    def of(cls, sentences: Sequence[Sentence], raws: Sequence[Raw]) -> CrossFit:
        """Fit both sides. Raises ValueError if a half has no positive or no negative sentence."""

        def fitted_without(side: int) -> Calibration:
            chosen = [i for i, s in enumerate(sentences) if half_of(s.document) != side]
            return calibrate([sentences[i] for i in chosen], [raws[i] for i in chosen])

        return cls((fitted_without(0), fitted_without(1)))

    def for_(self, sentence: Sentence) -> Calibration:
        """The calibration that has not seen a sentence's document."""
        return self.calibrations[half_of(sentence.document)]

    def probabilities(self, sentences: Sequence[Sentence], raws: Sequence[Raw]) -> NDArray[np.float64]:
        """Calibrated probability of each sentence."""
        pairs = zip(sentences, raws, strict=True)
        return np.array([self.for_(sentence).sentence.probability(raw.logit) for sentence, raw in pairs])

    def thresholds(self, sentences: Sequence[Sentence]) -> NDArray[np.float64]:
        """The threshold that judges each sentence."""
        return np.array([self.for_(sentence).threshold for sentence in sentences])


@dataclass(frozen=True)
class Measured:
    """Sentences that were read, with cross-fitted probabilities and the thresholds that judge them."""

    sentences: Sequence[Sentence]
    raws: Sequence[Raw]
    cross_fit: CrossFit
    labels: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    @classmethod
    def of(cls, sentences: Sequence[Sentence], raws: Sequence[Raw], cross_fit: CrossFit | None = None) -> Measured:
        """Judge sentences; give `cross_fit` where it comes from another reading of the same documents."""
        cross_fit = cross_fit or CrossFit.of(sentences, raws)
        return cls(
            sentences,
            raws,
            cross_fit,
            np.array([s.positive for s in sentences]),
            cross_fit.probabilities(sentences, raws),
            cross_fit.thresholds(sentences),
        )

    @property
    def logits(self) -> NDArray[np.float64]:
        """The model's own scores."""
        return np.array([raw.logit for raw in self.raws])

    @property
    def hits(self) -> NDArray[np.int64]:
        """(TP, FP, FN) of each sentence."""
        return sentence_hits(self.probabilities, self.labels, self.thresholds)


def sentence_figures(measured: Measured) -> Figures:
    """Whether a sentence holds an adverse event: at the cross-fitted threshold, and over all thresholds."""
    resampling = Resampling(documents_of(measured.sentences))
    return {
        "sentence F1": resampling.of_counts(measured.hits, f1s),
        "sentence precision": resampling.of_counts(measured.hits, precisions),
        "sentence recall": resampling.of_counts(measured.hits, recalls),
        "AUROC": resampling.of_ranking(measured.logits, measured.labels, auroc),
        "average precision": resampling.of_ranking(measured.logits, measured.labels, average_precision),
    }


def curve(measured: Measured) -> list[list[float]]:
    """[recalls, precisions] over all thresholds, about CURVE_POINTS of them: for the plot."""
    recall, precision = precision_recall(measured.logits, measured.labels)
    every = max(1, len(recall) // CURVE_POINTS)
    return [recall[::every].tolist(), precision[::every].tolist()]


# ---------------------------------------------------------------- spans and pairs


def _ranges(spans: Sequence[Any]) -> list[Range]:
    return [(span.start, span.end) for span in spans]


def _gold_pairs(sentence: Sentence) -> set[SpanPair]:
    return {(sentence.drugs[d], sentence.effects[e]) for d, e in sentence.pairs}


def _both_overlap(a: SpanPair, b: SpanPair) -> bool:
    return overlapping(a[0], b[0]) and overlapping(a[1], b[1])


def pairs_above(raw: Raw, calibration: Calibration) -> set[SpanPair]:
    """The pairs that the product would count: calibrated probability at or above the pair threshold."""
    whole = calibration.sentence.probability(raw.logit)
    drugs, effects = _ranges(raw.drugs), _ranges(raw.effects)
    return {
        (drugs[d], effects[e])
        for d, e, logit in raw.pairs
        if min(whole, calibration.pair.probability(raw.logit, *confidences(raw, d, e), logit))
        >= calibration.pair_threshold
    }


def span_rows(sentence: Sentence, raw: Raw) -> dict[str, Hits]:
    """Strict (exact characters) and relaxed (overlap, one to one) hits of one sentence's spans and pairs."""
    drugs, effects = _ranges(raw.drugs), _ranges(raw.effects)
    pairs, gold = {(d, e) for d in drugs for e in effects}, _gold_pairs(sentence)
    return {
        "DRUG F1": set_hits(set(drugs), set(sentence.drugs)),
        "EFFECT F1": set_hits(set(effects), set(sentence.effects)),
        "pair F1": set_hits(pairs, gold),
        "DRUG F1, overlap": matched_hits(drugs, sentence.drugs, overlapping),
        "EFFECT F1, overlap": matched_hits(effects, sentence.effects, overlapping),
        "pair F1, overlap": matched_hits(pairs, gold, _both_overlap),
    }


def thresholded_rows(sentence: Sentence, raw: Raw, calibration: Calibration) -> dict[str, Hits]:
    """Hits of the pairs above the pair threshold."""
    pairs, gold = pairs_above(raw, calibration), _gold_pairs(sentence)
    return {
        "pair F1 above the threshold": set_hits(pairs, gold),
        "pair F1 above the threshold, overlap": matched_hits(pairs, gold, _both_overlap),
    }


def _f1_of_rows(documents: Sequence[str], rows: Sequence[dict[str, Hits]]) -> Figures:
    resampling = Resampling(documents)
    return {name: resampling.of_counts(np.array([row[name] for row in rows]), f1s) for name in rows[0]}


def span_figures(measured: Measured) -> Figures:
    """Span and pair F1, micro-averaged: over the positive sentences; the last two over all sentences."""
    judged = [
        (s, span_rows(s, raw), thresholded_rows(s, raw, measured.cross_fit.for_(s)))
        for s, raw in zip(measured.sentences, measured.raws, strict=True)
    ]
    positive = [(s.document, rows | above) for s, rows, above in judged if s.positive]
    everywhere = [(s.document, {f"{k}, all sentences": v for k, v in above.items()}) for s, _, above in judged]
    figures: Figures = {}
    for chosen in (positive, everywhere):
        figures |= _f1_of_rows([document for document, _ in chosen], [rows for _, rows in chosen])
    return figures
