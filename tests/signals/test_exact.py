"""Exact intervals: what defines them, scipy's, and zero cells."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nchypergeom_fisher, poisson
from scipy.stats.contingency import odds_ratio

from streams.signals.exact import rate_ratio, relative_reporting_ratio, ror_fisher
from streams.signals.tables import UNDEFINED, ror

cells = st.integers(1, 400)


@given(cells, cells, cells, cells)
@settings(max_examples=40)
def test_at_fisher_s_bounds_the_count_is_at_a_tail_of_two_and_a_half_percent(a: int, b: int, c: int, d: int) -> None:
    """The bounds put back into scipy's noncentral hypergeometric distribution give the tails they were asked for."""
    found = ror_fisher(a=a, b=b, c=c, d=d)
    assert found.estimate is not None
    assert found.lower is not None
    assert found.upper is not None
    margins = (a + b + c + d, a + b, a + c)
    assert nchypergeom_fisher.sf(a - 1, *margins, found.lower) == pytest.approx(0.025, rel=1e-4)
    assert nchypergeom_fisher.cdf(a, *margins, found.upper) == pytest.approx(0.025, rel=1e-4)
    assert nchypergeom_fisher.mean(*margins, found.estimate) == pytest.approx(a, rel=1e-4)


@pytest.mark.parametrize("table", [(0, 5, 3, 90), (5, 0, 3, 90), (5, 5, 0, 90), (3, 4, 5, 0), (3, 2, 50, 90_000)])
def test_zero_cells_give_what_scipy_gives_with_none_for_infinity(table: tuple[int, int, int, int]) -> None:
    a, b, c, d = table
    found = ror_fisher(a=a, b=b, c=c, d=d)
    wanted = odds_ratio([[a, b], [c, d]])
    bounds = wanted.confidence_interval(0.95)
    finite = [None if x == float("inf") else pytest.approx(x, rel=1e-6) for x in (wanted.statistic, *bounds)]
    assert list(found) == finite


@given(cells, cells, cells, cells)
def test_fisher_s_interval_is_wider_than_woolf_s(a: int, b: int, c: int, d: int) -> None:
    """Exchanging drug and event, or turning the table over, changes nothing but the direction."""
    exact, wald = ror_fisher(a=a, b=b, c=c, d=d), ror(a=a, b=b, c=c, d=d)
    assert None not in (*exact, *wald)
    assert exact.upper / exact.lower > wald.upper / wald.lower  # type: ignore[operator]
    assert list(ror_fisher(a=a, b=c, c=b, d=d)) == pytest.approx(list(exact), rel=1e-9)
    turned = ror_fisher(a=b, b=a, c=d, d=c)
    assert [1 / x for x in turned if x] == pytest.approx([exact.estimate, exact.upper, exact.lower], rel=1e-9)


def test_an_empty_margin_has_no_odds_ratio_and_what_is_no_count_is_refused() -> None:
    assert ror_fisher(a=0, b=0, c=4, d=9) == UNDEFINED
    with pytest.raises(ValueError, match="b must be a whole number"):
        ror_fisher(a=1, b=2.5, c=4, d=9)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="c must be a whole number"):
        ror_fisher(a=1, b=2, c=-4, d=9)


@given(st.integers(0, 500), st.floats(0.01, 500))
def test_garwood_s_bounds_are_the_means_at_which_the_count_is_in_a_tail(observed: int, expected: float) -> None:
    found = relative_reporting_ratio(observed=observed, expected=expected)
    assert found.lower is not None
    assert found.upper is not None
    assert poisson.cdf(observed, found.upper * expected) == pytest.approx(0.025, rel=1e-6)
    if observed:
        assert poisson.sf(observed - 1, found.lower * expected) == pytest.approx(0.025, rel=1e-6)
    else:
        assert found.lower == 0


def test_nothing_expected_is_undefined_and_impossible_counts_are_refused() -> None:
    assert relative_reporting_ratio(observed=3, expected=0) == UNDEFINED
    assert rate_ratio(cases=0, exposure=1, other_cases=0, other_exposure=1) == UNDEFINED
    with pytest.raises(ValueError, match="observed and expected >= 0"):
        relative_reporting_ratio(observed=-1, expected=1)
    with pytest.raises(ValueError, match="exposures > 0"):
        rate_ratio(cases=1, exposure=0, other_cases=1, other_exposure=1)


@given(st.integers(1, 300), st.floats(0.1, 1e4), st.integers(1, 300), st.floats(0.1, 1e4))
def test_a_ratio_of_rates_turned_over_is_its_inverse(cases: int, exposure: float, other: int, elsewhere: float) -> None:
    there = rate_ratio(cases=cases, exposure=exposure, other_cases=other, other_exposure=elsewhere)
    back = rate_ratio(cases=other, exposure=elsewhere, other_cases=cases, other_exposure=exposure)
    assert None not in (*there, *back)
    assert [there.estimate, there.lower, there.upper] == pytest.approx(
        [1 / back.estimate, 1 / back.upper, 1 / back.lower],  # type: ignore[operator]
        rel=1e-6,
    )
