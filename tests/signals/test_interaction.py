"""Interaction of two drugs, and masking by one: formulas by hand, symmetries, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gamma

from streams.signals.information import ic_gamma
from streams.signals.interaction import chi_interaction, expected_additive, omega, omega_normal
from streams.signals.masking import masking_ratio, without_masker
from streams.signals.tables import prr

group = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))


def test_risks_that_add_up_are_what_is_expected() -> None:
    """On the odds scale: 1/9 and 1/4 over 1/19 give 1/9 + 1/4 - 1/19, a risk of 0.2358 of 1,000 reports."""
    odds = 1 / 9 + 1 / 4 - 1 / 19
    found = expected_additive(both=1000, first=(100, 1000), second=(200, 1000), neither=(500, 10_000))
    assert float(found) == pytest.approx(1000 * odds / (1 + odds))


def test_a_drug_that_is_rarer_with_the_event_than_its_absence_has_no_effect() -> None:
    rare, none = ((3, 1000), (50, 1000))
    for first in (rare, none):
        found = expected_additive(both=100, first=first, second=(200, 1000), neither=(500, 10_000))
        assert float(found) == pytest.approx(20)


@given(st.integers(0, 1000), group, group, group)
def test_the_two_drugs_may_be_exchanged_and_more_effect_expects_more(
    both: int, first: tuple[int, int], second: tuple[int, int], neither: tuple[int, int]
) -> None:
    found = float(expected_additive(both=both, first=first, second=second, neither=neither))
    assert float(expected_additive(both=both, first=second, second=first, neither=neither)) == pytest.approx(found)
    more = float(expected_additive(both=both, first=(first[0] + 1, first[1]), second=second, neither=neither))
    assert found <= more * (1 + 1e-12) + 1e-12
    assert 0 <= found <= both
    largest = max(x / n for x, n in (first, second, neither))
    assert found >= both * largest * (1 - 1e-9)


@given(st.integers(0, 500), st.floats(0.001, 500))
def test_omega_is_an_information_component_against_the_additive_baseline(observed: int, expected: float) -> None:
    found = omega(observed, expected)
    assert [float(x) for x in found] == pytest.approx(list(ic_gamma(observed=observed, expected=expected)))
    assert float(found.lower) == pytest.approx(math.log2(gamma.ppf(0.025, observed + 0.5) / (expected + 0.5)), rel=1e-6)


def test_both_intervals_of_omega_meet_where_there_are_many_cases() -> None:
    exact, normal = omega(10_000, 5_000), omega_normal(10_000, 5_000)
    assert [float(x) for x in exact] == pytest.approx([float(x) for x in normal], abs=0.001)
    assert np.isnan(omega_normal(0, 2).lower)
    assert np.isfinite(omega(0, 2).lower)


def test_a_group_without_reports_leaves_interaction_undefined() -> None:
    """The first drug never comes without the second: what it does alone is unknown."""
    found = expected_additive(both=[50, 50], first=([0, 1], [0, 20]), second=(2, 100), neither=(10, 1000))
    assert np.isnan(found).tolist() == [True, False]
    assert np.isnan(chi_interaction(3, 0.0))
    with pytest.raises(ValueError, match="second"):
        expected_additive(both=5, first=(1, 9), second=(9, 3), neither=(1, 9))
    with pytest.raises(ValueError, match="negative"):
        omega(-1, 2)


@given(st.integers(1, 100), st.integers(1, 1000), st.integers(1, 5000), st.integers(1, 100_000), st.data())
def test_the_masking_ratio_is_the_prr_after_over_the_prr_before(
    a: int, b: int, c: int, d: int, data: st.DataObject
) -> None:
    """At any drug alike: it does not depend on a and b."""
    masker = {"masker_c": data.draw(st.integers(0, c - 1)), "masker_d": data.draw(st.integers(0, d - 1))}
    left = [float(x) for x in without_masker(c=c, d=d, **masker)]
    before, after = prr(a=a, b=b, c=c, d=d), prr(a=a, b=b, c=left[0], d=left[1])
    assert before.estimate is not None
    assert after.estimate is not None
    assert float(masking_ratio(c=c, d=d, **masker)) == pytest.approx(after.estimate / before.estimate)


def test_a_masker_with_every_case_leaves_nothing_to_compare_with_and_one_with_more_is_refused() -> None:
    assert np.isnan(masking_ratio(c=5, d=100, masker_c=5, masker_d=10))
    with pytest.raises(ValueError, match="more reports"):
        masking_ratio(c=5, d=100, masker_c=6, masker_d=10)
