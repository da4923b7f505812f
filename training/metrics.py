"""Measures of a classifier, each from counts per document, so that an interval can resample documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from training.data import Sentence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]

REPLICATES = 1000
BOOTSTRAP_SEED = 7


class Interval(NamedTuple):
    """An estimate and its 95% percentile interval."""

    value: float
    low: float
    high: float


class Hits(NamedTuple):
    """True positives, false positives, false negatives."""

    true: int
    false: int
    missed: int


def f1_of(counts: NDArray[Any]) -> float:
    """2 TP / (2 TP + FP + FN) of a (TP, FP, FN) row; 0 where nothing is there to find and nothing was found."""
    true, false, missed = (float(value) for value in counts)
    whole = 2 * true + false + missed
    return 2 * true / whole if whole else 0.0


def auroc(scores: Floats, labels: Booleans) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counted half."""
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        raise ValueError("AUROC needs positive and negative labels")
    ranks = rankdata(scores)
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def average_precision(scores: Floats, labels: Booleans) -> float:
    """Sum over thresholds of precision times the step in recall; equal scores are one threshold."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(labels[order])
    last = np.append(np.nonzero(np.diff(ordered))[0], len(ordered) - 1)
    precision = hits[last] / (last + 1)
    recall = hits[last] / hits[-1]
    return float((np.diff(np.concatenate([[0.0], recall])) * precision).sum())


def sentence_hits(probabilities: Floats, labels: Booleans, thresholds: Floats) -> NDArray[np.int64]:
    """(TP, FP, FN) row of each sentence; `thresholds` has one entry a sentence."""
    called = probabilities >= thresholds
    return np.column_stack([called & labels, called & ~labels, ~called & labels]).astype(np.int64)


def set_hits(found: set[Any], gold: set[Any]) -> Hits:
    """Exact matches between two sets."""
    return Hits(len(found & gold), len(found - gold), len(gold - found))


def bootstrap(documents: Sequence[str], statistic: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    """95% percentile interval of a statistic of row indices, resampling whole documents with replacement."""
    names = sorted(set(documents))
    place = {name: i for i, name in enumerate(names)}
    rows: list[list[int]] = [[] for _ in names]
    for row, document in enumerate(documents):
        rows[place[document]].append(row)
    groups = [np.array(group, dtype=np.int64) for group in rows]
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    values = []
    for _ in range(REPLICATES):
        drawn = rng.integers(0, len(groups), len(groups))
        try:
            values.append(statistic(np.concatenate([groups[i] for i in drawn])))
        except ValueError:  # a resample without positives has no AUROC
            continue
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def f1_interval(documents: Sequence[str], hits: NDArray[np.int64]) -> Interval:
    """F1 of (TP, FP, FN) rows with its document-level interval."""
    low, high = bootstrap(documents, lambda rows: f1_of(hits[rows].sum(axis=0)))
    return Interval(f1_of(hits.sum(axis=0)), low, high)


def documents_of(sentences: Sequence[Sentence]) -> list[str]:
    """The document of each sentence."""
    return [sentence.document for sentence in sentences]
