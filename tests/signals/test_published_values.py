"""The statistics give what others printed for the same input: `bench.published` holds the comparisons."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import published, published_sequential
from bench.published import Check, caers
from streams.signals import bulk
from streams.signals.gps import Prior
from streams.signals.gps_fit import fit, negative_log_likelihood
from streams.signals.maxsprt import Design, critical_value

LONGEST = 60.0  # horizon in expected cases; `python -m bench.known_answers` goes to 1,000
CHECKS = (*published.CHECKS, *published_sequential.checks(LONGEST))
VALUES = (59, 8, 291, 291, 85, 12, 82, 63, 109, 100, 126, 84, 24, 10)  # of each check: none may shrink unnoticed

# Functions of the check file that no page of ours claims: tests conditional on a history, e-values, misclassification.
ELSEWHERE = re.compile(
    r"CV\.CondPoisson|cmaxsprt_llr|confseq|log_e_|batch_log_factor|e_bh|e_lond|rogan_gladen|\(q1/q0\)"
)


@pytest.mark.parametrize(
    ("check", "count"), list(zip(CHECKS, VALUES, strict=True)), ids=[check.title for check in CHECKS]
)
def test_every_printed_value_is_ours_to_its_last_digit(shared_data: Path, check: Check, count: int) -> None:
    values = list(check.values(shared_data))
    assert [value for value in values if not value.agrees] == []
    assert len(values) == count


@pytest.fixture(scope="module")
def check_values(shared_data: Path) -> list[dict[str, Any]]:
    return json.loads((shared_data / "check_statistics" / "check_values.json").read_text())  # type: ignore[no-any-return]


def test_no_function_of_the_check_file_is_passed_over_unnamed(check_values: list[dict[str, Any]]) -> None:
    fits = {"gps_negll(trunc=component)", "gps_fit(trunc=component)", "gps_fit(trunc=mixture)"}
    own = {*published.SINGLE, *published_sequential.SINGLE, *fits, "count(round(EB05,2)>=2)"}
    functions = {check["function"] for check in check_values}
    assert {name for name in functions if name not in own and not ELSEWHERE.search(name)} == set()


def test_a_squashed_fit_is_the_fit(shared_data: Path) -> None:
    n, expected = caers(shared_data).n, caers(shared_data).expected
    found = fit(n=n, expected=expected, truncation="mixture", squashed=True)
    assert found is not None
    assert found == pytest.approx((45.13, 3.799, 1.6075, 1.458, 0.0072), rel=0.02)
    assert negative_log_likelihood(n=n, expected=expected, prior=found) == pytest.approx(4187.52497, abs=1e-4)


def test_the_truncation_decides_how_many_pairs_of_caers_are_signals(shared_data: Path) -> None:
    """131 with openEBGM's, as printed there (`openebgm_scores`); 81 with the exact one."""
    n, expected = caers(shared_data).n, caers(shared_data).expected
    prior = fit(n=n, expected=expected, truncation="mixture", squashed=True)
    assert prior is not None
    eb05 = bulk.ebgm_quantile(n=n, expected=expected, prior=Prior(*prior), probability=0.05)
    assert int((eb05.round(2) >= 2).sum()) == 81


def test_where_sequential_stops_above_a_jump_of_the_level_ours_is_smaller_and_keeps_the_level() -> None:
    """Five cases by the first look at two are what must not signal: LLR(5, 2) = 5 ln 2.5 - 3 = 1.58145."""
    horizon, start = published_sequential.ABOVE_THE_JUMP
    found = critical_value(Design(horizon, start=start))
    assert found == pytest.approx(1.581454, abs=1e-6)
    assert found < 1.600544  # printed
