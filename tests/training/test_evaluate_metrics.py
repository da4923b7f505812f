"""Measures against values worked out by hand or by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluate.metrics import (
    Resampling,
    auroc,
    average_precision,
    bootstrap,
    f1_interval,
    f1_of,
    f1s,
    matched_hits,
    overlapping,
    precision_recall,
    precisions,
    recalls,
    sentence_hits,
    set_hits,
)

LABELLED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=25).filter(
    lambda rows: 0 < sum(label for _, label in rows) < len(rows)
)


@given(LABELLED)
@settings(deadline=None)
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in rows], dtype=float), np.array([y for _, y in rows])
    above = [(a > b) + 0.5 * (a == b) for a in scores[labels] for b in scores[~labels]]
    assert auroc(scores, labels) == pytest.approx(np.mean(above))


@given(LABELLED)
@settings(deadline=None)
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


# ---------------------------------------------------------------- weights


@given(LABELLED, st.lists(st.integers(0, 3), min_size=25, max_size=25))
@settings(deadline=None)
def test_a_row_of_weight_w_stands_for_w_rows(rows: list[tuple[int, bool]], weights: list[int]) -> None:
    scores, labels = np.array([s for s, _ in rows], dtype=float), np.array([y for _, y in rows])
    counts = np.array(weights[: len(rows)])
    again, labelled = np.repeat(scores, counts), np.repeat(labels, counts)
    if labelled.any() and not labelled.all():
        assert auroc(scores, labels, counts.astype(float)) == pytest.approx(auroc(again, labelled))
    if labelled.any():
        assert average_precision(scores, labels, counts.astype(float)) == pytest.approx(
            average_precision(again, labelled)
        )


def test_ranking_measures_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="no scikit-learn: extra `train`")
    rng = np.random.default_rng(0)
    labels = rng.random(500) < 0.2
    scores = np.round(rng.normal(size=500) + labels, 1)  # many ties
    weights = rng.integers(1, 4, 500).astype(float)
    assert auroc(scores, labels, weights) == pytest.approx(sklearn.roc_auc_score(labels, scores, sample_weight=weights))
    expected = sklearn.average_precision_score(labels, scores, sample_weight=weights)
    assert average_precision(scores, labels, weights) == pytest.approx(expected)
    recall, precision = precision_recall(scores, labels)
    theirs_precision, theirs_recall, _ = sklearn.precision_recall_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(recall, theirs_recall[-2::-1])
    assert np.allclose(precision, theirs_precision[-2::-1])


def test_precision_recall_and_f1_of_the_textbook_table() -> None:
    # Manning, Raghavan & Schuetze 2008, exercise 8.1 in numbers: 8 relevant found, 10 found besides, 12 missed.
    table = np.array([[8, 10, 12]])
    assert precisions(table)[0] == pytest.approx(8 / 18)
    assert recalls(table)[0] == pytest.approx(8 / 20)
    assert f1s(table)[0] == pytest.approx(8 / 19)
    assert np.isnan(recalls(np.array([[0, 3, 0]]))[0])


# ---------------------------------------------------------------- matching

SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)).map(lambda p: (p[0], p[0] + p[1])), max_size=4)


@given(SPANS, SPANS)
@settings(deadline=None)
def test_a_matching_is_the_largest_one_to_one(found: list[tuple[int, int]], gold: list[tuple[int, int]]) -> None:
    from itertools import permutations

    few, many = sorted((found, gold), key=len)
    best = max(
        (sum(overlapping(a, b) for a, b in zip(few, order, strict=False)) for order in permutations(many)), default=0
    )
    assert matched_hits(found, gold, overlapping) == (best, len(found) - best, len(gold) - best)


def test_spans_that_only_touch_do_not_overlap() -> None:
    assert not overlapping((0, 4), (4, 8))
    assert overlapping((0, 5), (4, 8))


# ---------------------------------------------------------------- resampling


def test_every_replicate_draws_as_many_documents_as_there_are() -> None:
    documents = ["a", "a", "b", "c", "c", "c"]
    sums = Resampling(documents).sums(np.array([[1.0 / 2], [1 / 2], [1], [1 / 3], [1 / 3], [1 / 3]]))
    assert np.allclose(sums, 3)
    for weights in list(Resampling(documents).weights())[:50]:
        assert weights[0] == weights[1]
        assert weights[3] == weights[4] == weights[5]


def test_sums_are_those_of_the_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    documents = [str(d) for d in rng.integers(0, 9, 40)]
    rows = rng.integers(0, 5, (40, 3))
    resampling = Resampling(documents)
    for total, weights in zip(resampling.sums(rows), resampling.weights(), strict=True):
        assert np.array_equal(total, np.repeat(rows, weights.astype(int), axis=0).sum(axis=0))


def test_a_paired_difference_is_narrower_than_two_intervals_apart() -> None:
    rng = np.random.default_rng(2)
    documents = [str(d) for d in range(200)]
    before = sentence_hits(rng.random(200), rng.random(200) < 0.5, np.full(200, 0.5))
    after = before.copy()
    after[before[:, 0].nonzero()[0][0]] = (0, 0, 1)  # one hit lost
    resampling = Resampling(documents)
    change = resampling.of_difference(after, before, f1s)
    assert change.value == pytest.approx(f1_of(after.sum(axis=0)) - f1_of(before.sum(axis=0)))
    whole = resampling.of_counts(before, f1s)
    assert change.high - change.low < (whole.high - whole.low) / 3
    same = resampling.of_difference(before, before, f1s)
    assert same == (0.0, 0.0, 0.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(100):
        share = rng.random(60) < 0.7  # 60 documents, each right or wrong in all of its three sentences
        rows = np.repeat(np.column_stack([share, ~share, ~share]), 3, axis=0).astype(int)
        low, high = Resampling([str(i // 3) for i in range(180)], replicates=400).of_counts(rows, f1s)[1:]
        covered += low <= 0.7 <= high
    assert covered >= 88
