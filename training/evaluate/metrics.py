"""Measures of a classifier, each with an interval that resamples whole documents.

Sentences of one abstract share author, drug and patient, so they are no independent draws: the bootstrap draws
documents with replacement. All measures of one set of documents use the same draws, so a difference of two can be
resampled in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from training.data import Sentence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]

REPLICATES = 1000
BOOTSTRAP_SEED = 7

Item = TypeVar("Item")


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


# ---------------------------------------------------------------- measures of rows with weights


def f1_of(counts: NDArray[Any]) -> float:
    """2 TP / (2 TP + FP + FN) of a (TP, FP, FN) row; 0 where nothing is there to find and nothing was found."""
    return float(np.nan_to_num(f1s(np.asarray(counts, dtype=float)[None, :])[0]))


def f1s(sums: NDArray[Any]) -> Floats:
    """F1 of each (TP, FP, FN) row; not a number where nothing is there to find and nothing was found."""
    true, false, missed = (sums[:, column].astype(float) for column in range(3))
    return _ratio(2 * true, 2 * true + false + missed)


def precisions(sums: NDArray[Any]) -> Floats:
    """TP / (TP + FP) of each row; not a number where nothing was found."""
    return _ratio(sums[:, 0].astype(float), (sums[:, 0] + sums[:, 1]).astype(float))


def recalls(sums: NDArray[Any]) -> Floats:
    """TP / (TP + FN) of each row; not a number where nothing is there to find."""
    return _ratio(sums[:, 0].astype(float), (sums[:, 0] + sums[:, 2]).astype(float))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def auroc(scores: Floats, labels: Booleans, weights: Floats | None = None) -> float:
    """Area under the ROC curve: share of (positive, negative) pairs in order, ties counted half.

    A row of weight w stands for w rows. Raises ValueError when the labels are all alike.
    """
    positive, negative = _weights_by_score(scores, labels, weights)
    if not positive.sum() or not negative.sum():
        raise ValueError("AUROC needs positive and negative labels")
    below = np.cumsum(negative) - negative / 2  # negatives at lower scores, and half of those at the same one
    return float((positive * below).sum() / (positive.sum() * negative.sum()))


def average_precision(scores: Floats, labels: Booleans, weights: Floats | None = None) -> float:
    """Area under the precision-recall curve as the sum of precision times the step in recall; no interpolation.

    Equal scores are one threshold. Raises ValueError without a positive.
    """
    positive, negative = _weights_by_score(scores, labels, weights)
    if not positive.sum():
        raise ValueError("average precision needs positive labels")
    found, called = np.cumsum(positive[::-1]), np.cumsum((positive + negative)[::-1])
    precision = np.nan_to_num(_ratio(found, called))  # none where a replicate drew nothing so far up
    return float((positive[::-1] * precision).sum() / positive.sum())


def _weights_by_score(scores: Floats, labels: Booleans, weights: Floats | None) -> tuple[Floats, Floats]:
    """(weight of positives, weight of negatives) at each distinct score, lowest score first."""
    distinct, place = np.unique(scores, return_inverse=True)
    whole = np.ones(len(scores)) if weights is None else weights
    positive = np.bincount(place, weights=whole * labels, minlength=len(distinct)).astype(np.float64)
    return positive, np.bincount(place, weights=whole * ~labels, minlength=len(distinct)).astype(np.float64)


def precision_recall(scores: Floats, labels: Booleans) -> tuple[Floats, Floats]:
    """(recall, precision) at each distinct score taken as the threshold, highest first."""
    positive, negative = _weights_by_score(scores, labels, None)
    found: Floats = np.cumsum(positive[::-1])
    called: Floats = np.cumsum((positive + negative)[::-1])
    return found / float(max(positive.sum(), 1)), _ratio(found, called)


# ---------------------------------------------------------------- rows of hits


def sentence_hits(probabilities: Floats, labels: Booleans, thresholds: Floats) -> NDArray[np.int64]:
    """(TP, FP, FN) row of each sentence; `thresholds` has one entry a sentence."""
    called = probabilities >= thresholds
    return np.column_stack([called & labels, called & ~labels, ~called & labels]).astype(np.int64)


def set_hits(found: set[Any], gold: set[Any]) -> Hits:
    """Exact matches between two sets."""
    return Hits(len(found & gold), len(found - gold), len(gold - found))


def matched_hits(found: Iterable[Item], gold: Iterable[Item], alike: Callable[[Item, Item], bool]) -> Hits:
    """Hits of a largest one-to-one matching of found and gold that are `alike`.

    One-to-one, so that a span over the whole sentence finds one effect and not all of them.

    >>> matched_hits([(0, 20)], [(0, 4), (6, 9)], overlapping)
    Hits(true=1, false=0, missed=1)
    """
    found, gold = sorted(found), sorted(gold)  # type: ignore[type-var]
    partner: dict[int, int] = {}

    def place(f: int, tried: set[int]) -> bool:
        for g in range(len(gold)):
            if g not in tried and alike(found[f], gold[g]):
                tried.add(g)
                if g not in partner or place(partner[g], tried):
                    partner[g] = f
                    return True
        return False

    true = sum(place(f, set()) for f in range(len(found)))
    return Hits(true, len(found) - true, len(gold) - true)


def overlapping(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two character ranges share a character."""
    return a[0] < b[1] and b[0] < a[1]


# ---------------------------------------------------------------- intervals


@lru_cache(maxsize=8)
def _draws(documents: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """How often each document is drawn, in each replicate."""
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(0, documents, documents), minlength=documents) for _ in range(replicates))
    return np.array(list(drawn))


class Resampling:
    """Bootstrap replicates of rows by their documents: `REPLICATES` draws of all documents with replacement."""

    def __init__(self, documents: Sequence[str], replicates: int = REPLICATES, seed: int = BOOTSTRAP_SEED) -> None:
        names, place = np.unique(np.array(documents), return_inverse=True)
        self._place = place
        self._size = len(names)
        self._draws = _draws(len(names), replicates, seed)

    def sums(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Column sums of `rows` (one a sentence) in every replicate: [replicates, columns]."""
        totals = np.zeros((self._size, rows.shape[1]))
        np.add.at(totals, self._place, rows)
        return self._draws @ totals

    def weights(self) -> Iterable[Floats]:
        """How often each row occurs, replicate by replicate."""
        for draw in self._draws:
            yield draw[self._place].astype(float)

    def of_counts(self, rows: NDArray[Any], measure: Callable[[NDArray[Any]], Floats]) -> Interval:
        """A measure of column sums (`f1s`, `recalls`, ...), with its interval."""
        return interval(float(measure(rows.sum(axis=0)[None, :])[0]), measure(self.sums(rows)))

    def of_difference(self, rows: NDArray[Any], other: NDArray[Any], measure: Callable[..., Floats]) -> Interval:
        """measure(rows) - measure(other), both over the same draws of documents."""
        estimate = measure(rows.sum(axis=0)[None, :])[0] - measure(other.sum(axis=0)[None, :])[0]
        return interval(float(estimate), measure(self.sums(rows)) - measure(self.sums(other)))

    def of_ranking(self, scores: Floats, labels: Booleans, measure: Callable[..., float]) -> Interval:
        """`auroc` or `average_precision`, with its interval. A replicate of one class only is left out."""
        values = []
        for weights in self.weights():
            try:
                values.append(measure(scores, labels, weights))
            except ValueError:
                continue
        return interval(measure(scores, labels), np.array(values))


def interval(value: float, replicates: NDArray[Any]) -> Interval:
    """A value with the 2.5 and 97.5 percentiles of its replicates, those left out that are not a number."""
    known = replicates[~np.isnan(replicates)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


def bootstrap(documents: Sequence[str], statistic: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    """95% percentile interval of any statistic of row indices, resampling whole documents with replacement.

    A replicate for which the statistic raises ValueError (no positives, no AUROC) is left out.
    """
    values = []
    for weights in Resampling(documents).weights():
        try:
            values.append(statistic(np.repeat(np.arange(len(documents)), weights.astype(np.int64))))
        except ValueError:
            continue
    found = interval(0.0, np.array(values))
    return found.low, found.high


def f1_interval(documents: Sequence[str], hits: NDArray[np.int64]) -> Interval:
    """F1 of (TP, FP, FN) rows with its document-level interval."""
    return Resampling(documents).of_counts(hits, f1s)


def documents_of(sentences: Sequence[Sentence]) -> list[str]:
    """The document of each sentence."""
    return [sentence.document for sentence in sentences]
