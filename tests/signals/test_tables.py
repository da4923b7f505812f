"""Two-by-two measures: what a zero cell does, and laws that hold for every table."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.signals.evidence import MEASURES, measures
from streams.signals.expected import expected_within_strata
from streams.signals.gps import Prior
from streams.signals.information import bcpnn_gould, ic_gamma, ic_noren
from streams.signals.tables import UNDEFINED, chi_squared, evans, lrt_huang, lrt_poisson, prr, ror

counts = st.integers(0, 10**7)
positive = st.integers(1, 10**7)


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "estimate", "bounds"),
    [
        (5, 5, 0, 90, None, False),  # no case of the event elsewhere: x/0
        (0, 0, 3, 97, None, False),  # no case of the drug: 0/0
        (0, 10, 3, 87, 0.0, False),  # the ratio is 0; its logarithm, and so its interval, is not there
        (3, 7, 3, 0, 0.3, True),  # every other case has the event
    ],
)
def test_zero_cells_of_the_prr_have_a_named_result(
    a: int, b: int, c: int, d: int, estimate: float | None, bounds: bool
) -> None:
    found = prr(a=a, b=b, c=c, d=d)
    assert found.estimate == (None if estimate is None else pytest.approx(estimate))
    assert (found.lower is not None, found.upper is not None) == (bounds, bounds)


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "estimate"),
    [(5, 0, 3, 90, None), (5, 5, 0, 90, None), (0, 5, 3, 90, 0.0), (5, 5, 3, 0, 0.0), (0, 0, 0, 0, None)],
)
def test_zero_cells_of_the_ror_have_a_named_result(a: int, b: int, c: int, d: int, estimate: float | None) -> None:
    found = ror(a=a, b=b, c=c, d=d)
    assert (found.estimate, found.lower, found.upper) == (estimate, None, None)


def test_an_empty_margin_leaves_tests_undefined_not_zero() -> None:
    assert prr(a=0, b=0, c=0, d=0) == UNDEFINED
    assert chi_squared(a=0, b=0, c=3, d=7) is None
    assert evans(a=5, b=5, c=0, d=90) is None
    assert lrt_poisson(n=3, expected=0) is None
    assert lrt_huang(a=0, b=0, c=3, d=7) is None
    assert lrt_poisson(n=0, expected=2) == 2.0


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_what_is_no_count_is_refused_by_name(name: str, value: float) -> None:
    table: dict[str, float] = {"a": 1, "b": 1, "c": 1, "d": 1} | {name: value}
    for function in (prr, ror, chi_squared, evans, lrt_huang):
        with pytest.raises(ValueError, match=f"^{name} must be a count"):
            function(**table)  # type: ignore[operator]


def test_evans_rule_needs_all_three_conditions() -> None:
    assert evans(a=41, b=14, c=754, d=591_958) is True  # rifabutin and uveitis, Evans 2001
    assert evans(a=2, b=1, c=10, d=10_000) is False  # two cases
    assert evans(a=30, b=70, c=2_000, d=8_000) is False  # PRR 1.5


@given(positive, positive, positive, positive)
def test_exchanging_drug_and_event_keeps_the_odds_ratio_and_chi_squared(a: int, b: int, c: int, d: int) -> None:
    assert ror(a=a, b=b, c=c, d=d) == pytest.approx(ror(a=a, b=c, c=b, d=d), rel=1e-12)
    assert chi_squared(a=a, b=b, c=c, d=d) == pytest.approx(chi_squared(a=a, b=c, c=b, d=d), rel=1e-12)


@given(positive, positive, positive, positive)
def test_intervals_hold_their_estimate_and_yates_is_the_smaller(a: int, b: int, c: int, d: int) -> None:
    for found in (prr(a=a, b=b, c=c, d=d), ror(a=a, b=b, c=c, d=d)):
        assert found.estimate is not None
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower <= found.estimate <= found.upper
    plain, corrected = (chi_squared(a=a, b=b, c=c, d=d, yates=y) for y in (False, True))
    assert plain is not None
    assert corrected is not None
    assert 0 <= corrected <= plain


@given(st.integers(0, 1000), st.floats(0, 1000))
def test_the_ic_is_always_defined_and_within_its_bounds(observed: int, expected: float) -> None:
    for found in (ic_gamma(observed=observed, expected=expected), ic_noren(observed=observed, expected=expected)):
        assert found.estimate is not None
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower < found.upper
        assert found.lower < found.estimate


def test_an_interval_too_wide_for_a_number_has_no_upper_bound() -> None:
    """Sums of probabilities may be a millionth of a case: 1/a is a million, its root a thousand."""
    for found in (prr(a=1e-6, b=3, c=2, d=50), ror(a=1e-6, b=3, c=2, d=50)):
        assert found.estimate is not None
        assert (found.lower, found.upper) == (0.0, None)


def test_bcpnn_refuses_margins_that_cannot_hold_the_cases() -> None:
    with pytest.raises(ValueError, match="no table has a=5"):
        bcpnn_gould(a=5, with_drug=4, with_event=10, cases=100)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(50, 100)), min_size=1, max_size=6))
def test_expectation_within_one_stratum_is_the_crude_one(strata: list[tuple[int, int, int]]) -> None:
    n, m, cases = zip(*strata, strict=True)
    total = expected_within_strata(with_drug=n, with_event=m, cases=cases)
    assert total == pytest.approx(sum(x * y / z for x, y, z in strata))
    assert expected_within_strata(with_drug=[*n, 3], with_event=[*m, 2], cases=[*cases, 0]) == total


def test_measures_beside_an_alert_are_none_where_undefined_and_never_infinite() -> None:
    prior = Prior(0.2, 0.1, 2, 4, 1 / 3)
    found = measures(a=3, b=4, c=0, d=0, expected=0.5, prior=None)
    assert tuple(found) == MEASURES
    assert {k for k, v in found.items() if v is None} >= {"prr", "ror", "ebgm", "eb05", "eb95"}
    full = measures(a=3, b=4, c=5, d=60, expected=0.5, prior=prior)
    assert all(v is not None and math.isfinite(v) for v in full.values())
    assert measures(a=0, b=4, c=5, d=60, expected=0.0, prior=prior)["ebgm"] is None
