"""The early rule's recursion against the formula written out for one pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma

from streams.signals.early import expected_cases, lower_bound, mixed, own_past, reference_rates, surge, updated
from streams.signals.rule import AlarmRule

RULE = AlarmRule()
MICRO = 1_000_000


def test_defaults_are_the_published_ones() -> None:
    assert RULE.injection == 1 / 66_600
    assert RULE.head_start == 238 / 66_600
    assert RULE.threshold == pytest.approx(95.2)
    assert (RULE.thetas, RULE.rho) == ((1.5, 2, 3, 5, 10, 30), 2)


def test_expectation_is_the_formula() -> None:
    """By hand: N = (100, 300), m = (4, 0), p = 4.5/401; p_1 = (4 + 200 p)/300, p_2 = 200 p/500; E = 2 p_1 + 3 p_2."""
    rates = reference_rates(
        event_micro=np.array([[4 * MICRO], [0]]), cases=np.array([100, 300]), rule=AlarmRule(strata=2)
    )
    p = 4.5 / 401
    assert rates[:, 0] == pytest.approx([(4 + 200 * p) / 300, 200 * p / 500])
    expected = expected_cases(drug_cases=np.array([2, 3]), rates=rates)
    assert expected[0] == pytest.approx(2 * (4 + 200 * p) / 300 + 3 * 200 * p / 500)


def test_what_everybody_reports_more_of_is_expected_of_everybody() -> None:
    """By hand: 10 and 20 others at rates 0.1 and 0.2 make 5 expected; 15 came, so (5 + 15) / (5 + 5) times as many."""
    rates = np.array([[0.1, 0.1], [0.2, 0.2]])
    found = surge(
        event_micro=np.array([[5 * MICRO, 0], [10 * MICRO, 0]]), cases=np.array([10, 20]), rates=rates, rule=RULE
    )
    assert found == pytest.approx([2, 1]), "an event that got rarer is expected as before"


def test_own_past_starts_at_five_and_never_helps_a_pair_that_was_rare() -> None:
    past = own_past(score_micro=np.array([0, 2, 30]) * MICRO, expected=np.array([0.0, 4.0, 10.0]), rule=RULE)
    assert past.alpha.tolist() == [5, 9, 35]
    assert past.beta.tolist() == [5, 9, 15]
    assert past.ratio.tolist() == [1, 1, 35 / 15]


@given(
    st.floats(0, 1000),
    st.integers(0, 6_000_000),
    st.floats(1e-6, 50),
    st.integers(0, 100),
    st.floats(0, 100),
)
def test_the_update_is_the_formula(value: float, score: int, expected: float, old: int, old_expected: float) -> None:
    past = own_past(score_micro=np.array([old * MICRO]), expected=np.array([old_expected]), rule=RULE)
    found = updated(
        np.full((6, 1), value), score_micro=np.array([score]), expected=np.array([expected]), past=past, rule=RULE
    )
    beta = 5 + old_expected
    alpha = max(beta, 5 + old)
    x = min(score / MICRO, 3)
    for row, theta in zip(found[:, 0], RULE.thetas, strict=True):
        ratio = (beta + 2 * expected) / (beta + theta * 2 * expected)
        assert row == pytest.approx(value * theta**x * ratio ** (alpha + x) + 1 / 66_600, rel=1e-9)


@given(st.floats(1e-4, 5), st.floats(0, 30), st.floats(0, 30))
@settings(max_examples=30, deadline=None)
def test_the_update_gains_nothing_on_average_at_the_effect_bound(
    expected: float, old: float, old_expected: float
) -> None:
    """Under the prior predictive at ratio rho the factor's mean is 1 (without the cap on scores)."""
    past = own_past(
        score_micro=np.array([round(old * MICRO)]), expected=np.array([old_expected]), rule=AlarmRule(score_cap=1e9)
    )
    alpha, beta = float(past.alpha[0]), float(past.beta[0])
    mean = np.zeros(6)
    for n in range(150):
        log_mass = (
            math.lgamma(alpha + n)
            - math.lgamma(alpha)
            - math.lgamma(n + 1)
            + alpha * math.log(beta / (beta + 2 * expected))
            + n * math.log(2 * expected / (beta + 2 * expected))
        )
        factor = updated(
            np.ones((6, 1)),
            score_micro=np.array([n * MICRO]),
            expected=np.array([expected]),
            past=past,
            rule=AlarmRule(score_cap=1e9, pairs=10**15),
        )
        mean += math.exp(log_mass) * factor[:, 0]
    assert mean[0] == pytest.approx(1, abs=1e-3)
    assert (mean <= 1 + 1e-6).all()  # larger thetas have mass beyond 150 cases


def test_the_mixture_is_the_mean_over_thetas() -> None:
    assert mixed(np.array([[1.0, 2.0], [3.0, 6.0]])).tolist() == [2.0, 4.0]


@given(st.integers(0, 200), st.floats(0, 100), st.floats(1, 5))
def test_the_effect_bound_is_the_gamma_quantile(cases: int, expected: float, ratio: float) -> None:
    found = lower_bound(cases=cases, expected=expected, past_ratio=ratio, rule=RULE)
    assert found == pytest.approx(gamma.ppf(0.05, 0.5 + cases) / (0.5 + ratio * expected))


def test_a_value_that_no_gate_lets_through_does_not_run_to_infinity() -> None:
    past = own_past(score_micro=np.array([0]), expected=np.array([0.0]), rule=RULE)
    value = np.full((6, 1), 1.0)
    for _ in range(1000):
        value = updated(value, score_micro=np.array([3 * MICRO]), expected=np.array([1e-6]), past=past, rule=RULE)
    assert np.isfinite(value).all()
    assert (value >= 1e100).all()
