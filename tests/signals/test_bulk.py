"""Measures of many pairs at once are those of one pair at a time, and scipy's, on made and on real tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from streams.signals import bulk, gps, information, tables
from streams.signals.gps import Prior

counts = st.one_of(st.integers(0, 5), st.integers(0, 10**6), st.floats(0, 100).map(lambda x: round(x, 6)))
priors = st.builds(Prior, *(st.floats(0.05, 50) for _ in range(4)), weight=st.floats(0.01, 0.99))


def _same(found: Sequence[np.ndarray], wanted: Sequence[float | None]) -> None:
    assert [float(x) for x in found] == pytest.approx(
        [np.nan if x is None else x for x in wanted], rel=1e-9, nan_ok=True
    )


@given(counts, counts, counts, counts)
def test_two_by_two_measures_are_those_of_one_table(a: float, b: float, c: float, d: float) -> None:
    cells = {"a": a, "b": b, "c": c, "d": d}
    _same(bulk.prr(**cells), tables.prr(**cells))
    _same(bulk.ror(**cells), tables.ror(**cells))
    for yates in (False, True):
        _same([bulk.chi_squared(**cells, yates=yates)], [tables.chi_squared(**cells, yates=yates)])
    assert bool(bulk.evans(**cells)) == (tables.evans(**cells) is True)


@given(st.integers(0, 1000), st.floats(0.001, 1000), priors)
def test_shrunken_measures_are_those_of_one_pair(n: int, expected: float, prior: Prior) -> None:
    pair = {"observed": n, "expected": expected}
    _same(bulk.ic_gamma(**pair), information.ic_gamma(**pair))
    _same(bulk.ic_noren(**pair), information.ic_noren(**pair))
    post = gps.posterior(n=n, expected=expected, prior=prior)
    _same([bulk.ebgm(n=n, expected=expected, prior=prior)], [gps.ebgm(post)])
    for q in (0.05, 0.95):
        found = bulk.ebgm_quantile(n=n, expected=expected, prior=prior, probability=q)
        assert float(found) == pytest.approx(gps.quantile(post, q), rel=1e-6, abs=1e-12)


def test_chi_squared_of_statins_and_contrast_agents_in_faers_is_scipy_s(shared_data: Path) -> None:
    """5,000 pairs of two drug classes: each drug's column against the rest of the table."""
    for name, drugs in (("statin1491", 6), ("gbca", 9)):
        with (shared_data / "faers_pvlrt" / f"{name}.csv").open(newline="") as file:
            table = np.array([row[1:] for row in list(csv.reader(file))[1:]], float)
        total, events = table.sum(), table.sum(axis=1)
        for column in table.T[:drugs]:
            a, b, c = column, column.sum() - column, events - column
            d = total - a - b - c
            for yates in (False, True):
                found = bulk.chi_squared(a=a, b=b, c=c, d=d, yates=yates)
                for i in np.flatnonzero(events)[::50]:
                    wanted = chi2_contingency([[a[i], b[i]], [c[i], d[i]]], correction=yates).statistic
                    assert found[i] == pytest.approx(wanted, rel=1e-9)


def test_what_is_no_count_and_nothing_expected_are_refused() -> None:
    with pytest.raises(ValueError, match="finite and >= 0"):
        bulk.prr(a=[1, -1], b=1, c=1, d=1)
    with pytest.raises(ValueError, match="expected > 0"):
        bulk.ebgm(n=[1, 2], expected=[1, 0], prior=Prior(1, 1, 2, 2, 0.5))
    with pytest.raises(ValueError, match="probability"):
        bulk.ebgm_quantile(n=1, expected=1, prior=Prior(1, 1, 2, 2, 0.5), probability=1)
