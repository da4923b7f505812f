"""Scalings and their errors against other definitions of the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from inference.calibration import expected_calibration_error
from training.evaluate.calibration import brier_interval, ece_interval, fit_temperature, reliability


def scored(seed: int, slope: float, size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `slope` times too large, and labels."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-1, 2, size)
    return slope * true, rng.random(size) < 1 / (1 + np.exp(-true))


@pytest.mark.parametrize("slope", [0.5, 1.0, 3.0])
def test_the_temperature_minimises_the_log_loss(slope: float) -> None:
    logits, labels = scored(1, slope)

    def loss(temperature: float) -> float:
        return float(np.logaddexp(0, np.where(labels, -1, 1) * logits / temperature).sum())

    found = fit_temperature(logits, labels)
    assert found == pytest.approx(minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x, rel=1e-3)
    assert found == pytest.approx(slope, rel=0.1)


def test_no_temperature_fits_scores_that_rank_the_wrong_way_round() -> None:
    logits, labels = scored(1, 1)
    with pytest.raises(ValueError, match="no temperature"):
        fit_temperature(-logits, labels)


def test_ece_is_that_of_the_product_and_its_bars_add_up() -> None:
    logits, labels = scored(2, 2)
    probabilities = 1 / (1 + np.exp(-logits))
    documents = [str(i // 5) for i in range(len(labels))]
    found = ece_interval(documents, probabilities, labels)
    assert found.value == pytest.approx(expected_calibration_error(probabilities, labels))
    bars = reliability(probabilities, labels)
    assert sum(bar.sentences for bar in bars) == len(labels)
    assert sum(b.sentences * abs(b.probability - b.positives) for b in bars) / len(labels) == pytest.approx(found.value)


def test_a_bar_by_hand() -> None:
    bars = reliability(np.array([0.1, 0.12, 0.18, 1.0]), np.array([False, True, False, True]))
    assert [bar.sentences for bar in bars] == [3, 1]
    assert bars[0].probability == pytest.approx(0.4 / 3)
    assert bars[0].positives == pytest.approx(1 / 3)


def test_brier_is_that_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="no scikit-learn: extra `train`")
    logits, labels = scored(3, 1, 500)
    probabilities = 1 / (1 + np.exp(-logits))
    found = brier_interval([str(i) for i in range(500)], probabilities, labels)
    assert found.value == pytest.approx(sklearn.brier_score_loss(labels, probabilities))
    assert found.low < found.value < found.high
