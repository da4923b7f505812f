"""Platt scaling and its measure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.calibration import PairCalibration, Platt, expected_calibration_error, fit_logistic, fit_platt, sigmoid


@given(st.floats(-1e6, 1e6))
def test_sigmoid_is_bounded_and_symmetric(x: float) -> None:
    assert 0 <= sigmoid(x) <= 1
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)


@given(st.lists(st.floats(-1000, 1000), min_size=2, max_size=20))
def test_sigmoid_never_falls(values: list[float]) -> None:
    probabilities = [sigmoid(x) for x in sorted(values)]
    assert probabilities == sorted(probabilities)


def test_the_fit_recovers_the_parameters_it_was_drawn_from() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(0.7 * logits - 1.2)))
    platt = fit_platt(logits, labels)
    assert platt.slope == pytest.approx(0.7, abs=0.03)
    assert platt.intercept == pytest.approx(-1.2, abs=0.06)


def test_calibration_mends_an_overconfident_model() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(-1, 4, 5_000)
    labels = rng.random(5_000) < 1 / (1 + np.exp(-0.4 * logits))
    raw = np.array([sigmoid(x) for x in logits])
    platt = fit_platt(logits, labels)
    mended = np.array([platt.probability(x) for x in logits])
    assert expected_calibration_error(raw, labels) > 0.08
    assert expected_calibration_error(mended, labels) < 0.03


def test_separable_labels_give_finite_coefficients() -> None:
    beta = fit_logistic(np.array([[-1.0], [-0.5], [0.5], [1.0]]), np.array([False, False, True, True]))
    assert np.isfinite(beta).all()


@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_labels_that_are_all_alike_calibrate_nothing(labels: list[bool]) -> None:
    with pytest.raises(ValueError, match="positive and negative"):
        fit_platt(np.array([0.0, 1.0]), np.array(labels))


def test_ece_by_hand() -> None:
    # Bin [.2, .3): mean .25, share of positives 1/2. Bin [.9, 1]: mean .95, share 1. ECE = .5 * .25 + .5 * .05.
    probabilities = np.array([0.2, 0.3 - 1e-12, 0.9, 1.0])
    labels = np.array([True, False, True, True])
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)


def test_a_pair_is_less_likely_the_less_sure_its_spans_are() -> None:
    pair = PairCalibration(intercept=0.1, sentence=0.9, drug=1.0, effect=0.5, blame=Platt(0.7, 0.0))
    assert pair.probability(2.0, 1.0, 1.0, 3.0) == pytest.approx(1 / (1 + math.exp(-1.9)) / (1 + math.exp(-2.1)))
    assert pair.probability(2.0, 0.5, 1.0, 0) < pair.probability(2.0, 1.0, 0.5, 0) < pair.probability(2.0, 1.0, 1.0, 0)
    assert pair.probability(2.0, 0.0, 0.0, 0.0) >= 0


def test_a_pair_is_likelier_the_more_its_score_says_so() -> None:
    pair = PairCalibration(intercept=0.1, sentence=0.9, drug=1.0, effect=0.5, blame=Platt(0.7, 0.0))
    assert pair.probability(2.0, 0.9, 0.9, -1.0) < pair.probability(2.0, 0.9, 0.9, 1.0)
