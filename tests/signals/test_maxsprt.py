"""Sequential tests: small designs worked out by hand or by listing every course of events, and laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from streams.signals.maxsprt import Design, critical_value, llr, performance, signal_times
from streams.signals.maxsprt_binomial import (
    BinomialDesign,
    binomial_critical_value,
    binomial_llr,
    binomial_performance,
)


@given(st.floats(0.01, 12), st.integers(1, 2000))
def test_at_its_signal_time_the_likelihood_ratio_is_the_critical_value(critical: float, n: int) -> None:
    time = signal_times(critical, n)
    assert time < n
    assert float(llr(n, time)) == pytest.approx(critical, rel=1e-6)


@given(st.floats(1.5, 4), st.floats(0, 1), st.floats(0.3, 5))
def test_a_horizon_before_the_second_signal_time_is_a_closed_form(critical: float, part: float, risk: float) -> None:
    """No signal: no case by T, or a single one, after t_1. Its mean time: a case before t_1, else the second one."""
    first, second = signal_times(critical, [1, 2]).tolist()
    horizon = first + (second - first) * max(part, 0.01)
    found = performance(critical, Design(horizon), risk)
    rest = math.exp(-risk * horizon) * (1 + risk * (horizon - first))
    assert found.power == pytest.approx(1 - rest)
    assert found.length == pytest.approx(found.power * found.time_to_signal + (1 - found.power) * horizon)
    grid = np.linspace(first, horizon, 20_001)
    late = risk**2 * (grid - first) * np.exp(-risk * grid) * grid  # first case in (t_1, s), second at s
    early = (1 - math.exp(-risk * first) * (1 + risk * first)) / risk
    waited = early + float(np.trapezoid(late, grid))
    assert found.power * found.time_to_signal == pytest.approx(waited, rel=1e-5)


def test_two_looks_are_a_double_sum() -> None:
    design, critical = Design.of_groups([3, 4]), 2.0
    limits = [next(n for n in range(40) if n > mean and float(llr(n, mean)) > critical) for mean in (3, 7)]
    stays = sum(
        poisson.pmf(i, 3) * poisson.pmf(j, 4) for i in range(limits[0]) for j in range(limits[1]) if i + j < limits[1]
    )
    assert performance(critical, design).power == pytest.approx(1 - stays)


@given(st.floats(0.5, 30), st.integers(1, 4), st.floats(0.01, 0.3))
@settings(max_examples=30, deadline=None)
def test_the_level_of_continuous_looks_is_the_one_asked_for(horizon: float, cases: int, alpha: float) -> None:
    found = critical_value(Design(horizon, cases), alpha)
    if found is None:
        assert performance(1e-9, Design(horizon, cases)).power <= alpha + 1e-6
    else:
        assert performance(found, Design(horizon, cases)).power == pytest.approx(alpha, abs=1e-8)


@given(st.floats(1, 20), st.floats(0.05, 0.9), st.lists(st.floats(0.5, 5), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_delayed_start_and_groups_never_exceed_the_level(horizon: float, part: float, sizes: list[float]) -> None:
    for design in (Design(horizon, start=part * horizon), Design.of_groups(sizes)):
        found = critical_value(design)
        if found is not None:
            assert performance(found, design).power <= 0.05 + 1e-9


@given(st.floats(1, 30), st.floats(1, 6), st.floats(1, 6), st.floats(1, 4))
@settings(max_examples=30, deadline=None)
def test_power_rises_with_the_risk_and_falls_with_the_critical_value(
    horizon: float, critical: float, other: float, risk: float
) -> None:
    low, high = sorted((critical, other))
    design = Design(horizon)
    assert performance(high, design, risk).power <= performance(low, design, risk).power + 1e-12
    assert performance(low, design, 1.5 * risk).power >= performance(low, design, risk).power - 1e-12


def test_what_no_test_can_be_is_refused() -> None:
    for design in (Design(0), Design(5, 0), Design(5, start=6), Design(5, looks=(2, 2, 5))):
        with pytest.raises(ValueError, match=r"horizon|looks"):
            critical_value(design)
    with pytest.raises(ValueError, match="alpha"):
        critical_value(Design(5), 1.5)
    with pytest.raises(ValueError, match="expected > 0"):
        llr(3, 0)
    assert critical_value(Design(1, min_cases=4)) is None  # four cases where one is expected: 2% at any excess


def _courses(design: BinomialDesign, critical: float, p: float) -> tuple[float, float]:
    """Power and mean cases by listing every course of exposed and unexposed cases."""
    power = cases = 0.0
    for course in itertools.product((0, 1), repeat=design.cases):
        chance = math.prod(p if x else 1 - p for x in course)
        at = (n for n in design.looking() if float(binomial_llr(sum(course[:n]), n, design.p)) > critical + 1e-9)
        signal = next(at, None)
        power += chance * (signal is not None)
        cases += chance * (signal or design.cases)
    return power, cases


@pytest.mark.parametrize("looks", [(), (3, 7, 9)])
@pytest.mark.parametrize("min_cases", [1, 4])
@pytest.mark.parametrize("risk", [1.0, 3.0])
def test_binomial_power_and_length_are_those_of_all_courses(
    looks: tuple[int, ...], min_cases: int, risk: float
) -> None:
    design = BinomialDesign(9, 0.3, min_cases, looks)
    p = risk * 0.3 / (risk * 0.3 + 0.7)
    found = binomial_performance(2.1, design, risk)
    assert (found.power, found.cases) == pytest.approx(_courses(design, 2.1, p))


@given(st.integers(5, 40), st.floats(0.1, 0.7), st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=30, deadline=None)
def test_the_binomial_critical_value_is_the_smallest_that_keeps_the_level(cases: int, p: float, alpha: float) -> None:
    design = BinomialDesign(cases, p)
    found = binomial_critical_value(design, alpha)
    if found is not None:
        assert binomial_performance(found, design).power <= alpha
        assert binomial_performance(found - 1e-6, design).power > alpha


def test_too_few_cases_have_no_binomial_critical_value_and_impossible_ones_are_refused() -> None:
    assert binomial_critical_value(BinomialDesign(2, 0.5)) is None  # both exposed: 25%
    with pytest.raises(ValueError, match="0 <= k <= n"):
        binomial_llr(3, 2, 0.5)
    with pytest.raises(ValueError, match="alpha"):
        binomial_critical_value(BinomialDesign(5, 0.5), 0)
    with pytest.raises(ValueError, match="relative risk"):
        binomial_performance(2.0, BinomialDesign(5, 0.5), 0)
