"""Measures against values worked out by hand or by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluate.metrics import auroc, average_precision, bootstrap, f1_interval, f1_of, sentence_hits, set_hits

LABELLED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=25).filter(
    lambda rows: 0 < sum(label for _, label in rows) < len(rows)
)


@given(LABELLED)
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in rows], dtype=float), np.array([y for _, y in rows])
    above = [(a > b) + 0.5 * (a == b) for a in scores[labels] for b in scores[~labels]]
    assert auroc(scores, labels) == pytest.approx(np.mean(above))


@given(LABELLED)
def test_average_precision_steps_at_each_distinct_score(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in rows], dtype=float), np.array([y for _, y in rows])
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = scores >= threshold
        now = (called & labels).sum() / labels.sum()
        total += (now - recall) * (called & labels).sum() / called.sum()
        recall = now
    assert average_precision(scores, labels) == pytest.approx(total)


def test_auroc_of_one_class_is_undefined() -> None:
    with pytest.raises(ValueError, match="positive and negative"):
        auroc(np.array([1.0, 2.0]), np.array([True, True]))


def test_f1_by_hand() -> None:
    assert f1_of(np.array([2, 1, 1])) == pytest.approx(2 / 3)
    assert f1_of(np.array([0, 0, 0])) == 0
    assert set_hits({1, 2, 3}, {2, 3, 4, 5}) == (2, 1, 2)
    hits = sentence_hits(np.array([0.9, 0.2, 0.6, 0.1]), np.array([True, True, False, False]), np.full(4, 0.5))
    assert hits.sum(axis=0).tolist() == [1, 1, 1]


def test_an_interval_resamples_documents_not_sentences() -> None:
    # Ten documents of a hundred alike sentences: the interval is that of ten draws, however many sentences there are.
    documents = [str(i // 100) for i in range(1000)]
    values = np.repeat(np.arange(10) % 2, 100)
    low, high = bootstrap(documents, lambda rows: float(values[rows].mean()))
    assert high - low > 0.4
    hits = np.tile([1, 0, 0], (5, 1))
    assert f1_interval(list("abcde"), hits) == (1.0, 1.0, 1.0)
