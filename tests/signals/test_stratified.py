"""Measures over strata: laws, and a confounder that makes an association of nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.signals.information import ic_gamma
from streams.signals.stratified import (
    Strata,
    ic_stratified,
    mantel_haenszel_prr,
    mantel_haenszel_ror,
    mantel_haenszel_test,
    strata_of,
)
from streams.signals.tables import UNDEFINED, chi_squared, prr, ror

cell = st.integers(1, 500)
rows = st.lists(st.tuples(cell, cell, cell, cell), min_size=1, max_size=6)


@given(cell, cell, cell, cell)
def test_one_stratum_is_the_crude_table(a: int, b: int, c: int, d: int) -> None:
    """Woolf's variance and the Wald variance of the PRR are what the pooled ones become in a single table."""
    one = Strata.of([(a, b, c, d)])
    assert list(mantel_haenszel_ror(one)) == pytest.approx(list(ror(a=a, b=b, c=c, d=d)))
    assert list(mantel_haenszel_prr(one)) == pytest.approx(list(prr(a=a, b=b, c=c, d=d)))
    total = a + b + c + d
    crude = chi_squared(a=a, b=b, c=c, d=d)
    assert crude is not None
    assert mantel_haenszel_test(one, corrected=False) == pytest.approx(crude * (total - 1) / total, abs=1e-9)
    assert ic_stratified(one) == pytest.approx(ic_gamma(observed=a, expected=(a + b) * (a + c) / total))


@given(rows, st.randoms(use_true_random=False))
def test_order_of_strata_and_empty_ones_do_not_matter(tables: list[tuple[int, ...]], random: object) -> None:
    mixed = [*tables, (0, 0, 0, 0)]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for measure in (mantel_haenszel_ror, mantel_haenszel_prr, ic_stratified):
        assert list(measure(Strata.of(mixed))) == pytest.approx(list(measure(Strata.of(tables))))
    assert mantel_haenszel_test(Strata.of(mixed)) == pytest.approx(mantel_haenszel_test(Strata.of(tables)))


@given(rows)
def test_pooled_ratios_lie_between_those_of_the_strata_and_turn_over_with_the_table(
    tables: list[tuple[int, ...]],
) -> None:
    strata = Strata.of(tables)
    for pooled, own in ((mantel_haenszel_ror, ror), (mantel_haenszel_prr, prr)):
        ratios = [own(a=a, b=b, c=c, d=d).estimate or 0.0 for a, b, c, d in tables]
        found = pooled(strata).estimate
        assert found is not None
        assert min(ratios) * (1 - 1e-9) <= found <= max(ratios) * (1 + 1e-9)
    turned = mantel_haenszel_ror(Strata(strata.c, strata.d, strata.a, strata.b))
    there = mantel_haenszel_ror(strata)
    assert [1 / x for x in turned if x] == pytest.approx([there.estimate, there.upper, there.lower])


@given(rows)
def test_the_interval_is_robins_breslow_and_greenland_s_sum_written_out(tables: list[tuple[int, ...]]) -> None:
    r = s = pr = ps_qr = qs = 0.0
    for a, b, c, d in tables:
        n = a + b + c + d
        r, s = r + a * d / n, s + b * c / n
        pr += (a + d) / n * a * d / n
        qs += (b + c) / n * b * c / n
        ps_qr += (a + d) / n * b * c / n + (b + c) / n * a * d / n
    error = math.sqrt(pr / (2 * r * r) + ps_qr / (2 * r * s) + qs / (2 * s * s))
    found = mantel_haenszel_ror(Strata.of(tables))
    assert found.upper == pytest.approx(r / s * math.exp(1.959963984540054 * error))


def test_a_confounder_makes_an_association_that_stratifying_takes_away() -> None:
    """Infants get the drug and have the event; within each age band the two are independent."""
    infants, adults = (80, 20, 320, 80), (2, 98, 180, 8820)
    crude = ror(**dict(zip("abcd", (x + y for x, y in zip(infants, adults, strict=True)), strict=True)))
    assert crude.lower is not None
    assert crude.lower > 9
    strata = Strata.of([infants, adults])
    assert mantel_haenszel_ror(strata).estimate == pytest.approx(1.0)
    assert mantel_haenszel_prr(strata).estimate == pytest.approx(1.0)
    assert ic_stratified(strata).estimate == pytest.approx(0.0)
    assert mantel_haenszel_test(strata) == pytest.approx(0.0)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("fm"), st.sampled_from([1, 2, None])), max_size=60)
)
def test_crossing_variables_loses_no_case(cases: list[tuple[bool, bool, str, int | None]]) -> None:
    drug, event, sex, region = ([case[i] for case in cases] for i in range(4))
    strata = strata_of(drug, event, sex, region)
    assert len(strata.a) == len({(s, r) for _, _, s, r in cases})
    assert strata.cases.sum() == len(cases)
    crude = strata_of(drug, event)
    for over_all, by_stratum in zip(crude, strata, strict=True):
        assert over_all.sum() == by_stratum.sum()
    assert crude.a.sum() == sum(1 for d, e, _, _ in cases if d and e)


def test_empty_sums_have_named_results() -> None:
    assert mantel_haenszel_ror(Strata.of([(3, 0, 4, 5)])) == UNDEFINED
    assert mantel_haenszel_prr(Strata.of([(3, 1, 0, 5)])) == UNDEFINED
    assert mantel_haenszel_ror(Strata.of([(0, 3, 4, 5)])) == (0.0, None, None)
    assert mantel_haenszel_prr(Strata.of([(0, 3, 4, 5)])) == (0.0, None, None)
    assert mantel_haenszel_test(Strata.of([(3, 1, 0, 0), (0, 0, 0, 0)])) is None
    with pytest.raises(ValueError, match="four finite counts"):
        Strata.of([(1, 2, 3)])
    with pytest.raises(ValueError, match="lengths differ"):
        strata_of([1, 0], [1], ["f", "m"])
    assert np.isfinite(ic_stratified(Strata.of([(0, 0, 0, 0)]))).all()
