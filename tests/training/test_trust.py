"""Coverage and deletion tests measure what they say, on cases worked out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from inference.classifier import Pair, Reading, TextSpan
from inference.conformal import Conformity
from training.data import Sentence
from training.trust.coverage import Counts, Sample, counted_pairs, cross_fitted, halvings, judged

SURE, OPEN, NONE = Conformity(0.4, 0.01), Conformity(0.2, 0.1), Conformity(0.01, 0.4)


def test_a_label_is_covered_unless_the_verdict_is_the_other_one() -> None:
    labels = [True, True, True, False, False]
    assert judged([SURE, OPEN, NONE, SURE, OPEN], labels, 0.05) == Counts(3, 2, 1, 2, 1, 1)
    assert judged([SURE, OPEN, NONE, SURE, OPEN], labels, 0.15) == Counts(3, 2, 0, 2, 0, 0)


def test_no_document_calibrates_its_own_judgement() -> None:
    documents = [f"d{i % 7}" for i in range(70)]
    sample = Sample([i / 70 for i in range(70)], [i % 3 == 0 for i in range(70)], documents)
    for sets, other in halvings(sample, 5):
        assert sets.ades + sets.others + len(other.labels) == 70
        assert sets.ades == sum(sample.labels) - sum(other.labels)
        assert len(set(other.documents)) in (3, 4)


def test_on_exchangeable_sentences_the_halves_cover_what_they_promise() -> None:
    """Probabilities of two normal distributions, a document a sentence: coverage is 1 - rate but for sampling.

    Both rates are below the 16% at which the two labels' thresholds meet, so no set is made larger than it need be.
    """
    rng = random.Random(3)
    labels = [rng.random() < 0.3 for _ in range(1200)]
    probabilities = [1 / (1 + np.exp(-rng.gauss(1.0 if label else -1.0, 1.0))) for label in labels]
    found = cross_fitted(Sample(probabilities, labels, list(map(str, range(1200)))), (0.05, 0.1), 20)
    for rate, rows in found.items():
        ades, others, *_ = rows.mean(axis=0)
        assert ades == pytest.approx(1 - rate, abs=0.015)
        assert others == pytest.approx(1 - rate, abs=0.015)
    assert found[0.05].mean(axis=0)[4] > found[0.1].mean(axis=0)[4]


def test_pairs_are_counted_from_the_threshold_on_and_right_if_both_spans_overlap() -> None:
    sentence = Sentence(
        "Rash after ibuprofen, not fever.", "1", "ade", True, ((11, 20),), ((0, 4),), frozenset({(0, 0)})
    )
    drug, rash, fever = TextSpan(11, 20, "ibuprofen"), TextSpan(0, 4, "Rash"), TextSpan(26, 31, "fever")
    reading = Reading(0.9, (drug,), (rash, fever), (Pair(0, 0, 0.8), Pair(0, 1, 0.6)))
    sure, unsure = reading._replace(conformity=SURE), reading._replace(conformity=OPEN)
    assert counted_pairs([sentence] * 2, [sure, unsure], 0.05, 0.5) == (4, 2, 2, 1)
    assert counted_pairs([sentence] * 2, [sure, unsure], 0.05, 0.7) == (2, 2, 1, 1)
