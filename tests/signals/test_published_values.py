"""The statistics give the published or recomputed values of the shared check files."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from streams.signals.expected import expected_within_strata
from streams.signals.gps import Prior, ebgm, posterior, quantile
from streams.signals.gps_fit import fit, negative_log_likelihood
from streams.signals.information import bcpnn_gould, ic_gamma, ic_noren
from streams.signals.tables import chi_squared, lrt_huang, lrt_poisson, prr, ror

Inputs = dict[str, Any]
Pairs = tuple[list[int], list[float]]

# Functions of the check file that belong to later work: the sequential tests and what rests on misclassification.
LATER = re.compile(
    r"maxsprt|CV\.|confseq|log_e_|batch_log_factor|e_bh|e_lond|rogan_gladen|\(q1/q0\)",
)


def _gps(theta: Sequence[float], N: float, E: float) -> tuple[float, ...]:  # noqa: N803
    post = posterior(n=N, expected=E, prior=Prior(*theta))
    return (post.weight, ebgm(post), quantile(post, 0.05), quantile(post, 0.95))


FUNCTIONS: dict[str, Callable[..., object]] = {
    "two_by_two.PRR": lambda **t: prr(**t).estimate,
    "two_by_two.PRR_lo": lambda **t: prr(**t).lower,
    "two_by_two.PRR_hi": lambda **t: prr(**t).upper,
    "two_by_two.ROR": lambda **t: ror(**t).estimate,
    "two_by_two.ROR_lo": lambda **t: ror(**t).lower,
    "two_by_two.ROR_hi": lambda **t: ror(**t).upper,
    "two_by_two.chi2": chi_squared,
    "two_by_two.chi2_yates": lambda **t: chi_squared(**t, yates=True),
    "ic_shrink": lambda O, E: ic_gamma(observed=O, expected=E),  # noqa: E741, N803
    "bcpnn_gould": lambda n11, n1_, n_1, N: bcpnn_gould(a=n11, with_drug=n1_, with_event=n_1, cases=N),  # noqa: N803
    "gps_post+gps_quantile(.05,.95)": _gps,
    "mh_expected": lambda n_drug_s, n_event_s, N_s: expected_within_strata(  # noqa: N803
        with_drug=n_drug_s, with_event=n_event_s, cases=N_s
    ),
    "lrt_poisson = n log(n/E)-(n-E)": lambda n, E: lrt_poisson(n=n, expected=E),  # noqa: N803
    "lrt_huang": lambda nij, ni, nj, n: lrt_huang(a=nij, b=nj - nij, c=ni - nij, d=n - ni - nj + nij),
}


@pytest.fixture(scope="module")
def check_values(shared_data: Path) -> list[dict[str, Any]]:
    return json.loads((shared_data / "check_statistics" / "check_values.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def caers(shared_data: Path) -> Pairs:
    """(N, E) of each product-event pair of the CAERS reports, unstratified."""
    products, events, pairs = defaultdict(set), defaultdict(set), defaultdict(set)
    ids = set()
    with (shared_data / "caers_openebgm" / "caers.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            ids.add(row["id"])
            products[row["var1"]].add(row["id"])
            events[row["var2"]].add(row["id"])
            pairs[row["var1"], row["var2"]].add(row["id"])
    counts = [len(found) for found in pairs.values()]
    expected = [len(products[p]) * len(events[e]) / len(ids) for p, e in pairs]
    return counts, expected


def _close(value: object, check: dict[str, Any]) -> bool:
    expected, tolerance = check["expected"], check["tolerance"]
    values = list(value) if isinstance(value, tuple) else [value]
    wanted = expected if isinstance(expected, list) else [expected]
    kind = {"abs": "abs", "rel": "rel"}[check["tol_kind"]]
    return values == [pytest.approx(w, **{"rel": 0, "abs": 0} | {kind: tolerance}) for w in wanted]


def test_every_check_value_of_the_tables_and_shrunken_measures(check_values: list[dict[str, Any]]) -> None:
    wrong, checked = [], 0
    for check in check_values:
        function = FUNCTIONS.get(check["function"])
        if function is not None:
            checked += 1
            if not _close(function(**check["inputs"]), check):
                wrong.append((check["id"], function(**check["inputs"]), check["expected"]))
    assert wrong == []
    assert checked == 28


def test_no_function_of_the_check_file_is_passed_over_unnamed(check_values: list[dict[str, Any]]) -> None:
    fits = {"gps_negll(trunc=component)", "gps_fit(trunc=component)", "gps_fit(trunc=mixture)"}
    own = {*FUNCTIONS, *fits, "count(round(EB05,2)>=2)"}
    assert [c["function"] for c in check_values if c["function"] not in own and not LATER.search(c["function"])] == []


def _check(check_values: list[dict[str, Any]], id_: str) -> dict[str, Any]:
    return next(check for check in check_values if check["id"] == id_)


@pytest.mark.parametrize("id_", ["gps_negll_caers", "gps_negll_caers_init"])
def test_likelihood_of_caers_is_openebgm_s(check_values: list[dict[str, Any]], caers: Pairs, id_: str) -> None:
    check = _check(check_values, id_)
    n, expected = caers
    prior = Prior(*check["inputs"]["theta"])
    assert _close(negative_log_likelihood(n=n, expected=expected, prior=prior, truncation="component"), check)


def test_fit_truncated_by_component_is_openebgm_s(check_values: list[dict[str, Any]], caers: Pairs) -> None:
    n, expected = caers
    assert _close(fit(n=n, expected=expected, truncation="component"), _check(check_values, "gps_fit_caers"))


@pytest.mark.parametrize("squashed", [False, True])
def test_fit_truncated_as_a_mixture(check_values: list[dict[str, Any]], caers: Pairs, squashed: bool) -> None:
    n, expected = caers
    found = fit(n=n, expected=expected, truncation="mixture", squashed=squashed)
    assert found is not None
    assert _close(found, _check(check_values, "gps_fit_caers_mixture_trunc"))
    assert negative_log_likelihood(n=n, expected=expected, prior=found) == pytest.approx(4187.52497, abs=1e-4)


def _signals(caers: Pairs, prior: Prior) -> int:
    return sum(
        round(quantile(posterior(n=n, expected=e, prior=prior), 0.05), 2) >= 2
        for n, e in zip(*caers, strict=True)
        if n > 1 and n / e > 2  # a lone case never has EB05 >= 2 with these priors
    )


def test_the_truncation_decides_how_many_pairs_of_caers_are_signals(
    check_values: list[dict[str, Any]], caers: Pairs
) -> None:
    component = Prior(*_check(check_values, "gps_n_signals_caers")["inputs"]["theta"])
    assert _signals(caers, component) == _check(check_values, "gps_n_signals_caers")["expected"] == 131
    mixture = fit(n=caers[0], expected=caers[1], truncation="mixture", squashed=True)
    assert mixture is not None
    assert _signals(caers, mixture) == 81


def test_published_openebgm_rows(shared_data: Path) -> None:
    published = json.loads((shared_data / "check_ebgm" / "openEBGM_published_results.json").read_text())
    t = published["hyperparameters"]["vignette04_theta_hat"]
    prior = Prior(t["alpha1"], t["beta1"], t["alpha2"], t["beta2"], t["P"])
    for row in [*published["head_rows"], *published["top5_by_EB05"]]:
        post = posterior(n=row["N"], expected=row["E"], prior=prior)
        assert ebgm(post) == pytest.approx(row["EBGM"], abs=0.00501)
        # openEBGM searches its quantiles to two places: its last digit may be cut off instead of rounded
        assert quantile(post, 0.05) == pytest.approx(row["EB05"], abs=0.0101)
        assert quantile(post, 0.95) == pytest.approx(row["EB95"], abs=0.0101)


def test_diana_s_odds_ratios_and_information_components(shared_data: Path) -> None:
    """ROR within Fisher's exact interval of the same table; IC and Noren's bounds to the digits printed."""
    with (shared_data / "check_disproportionality" / "diana_faers_2x2_ror_ic.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        a, b, c, d = (int(row[k]) for k in ("D_E", "D_nE", "nD_E", "nD_nE"))
        odds = ror(a=a, b=b, c=c, d=d)
        assert odds.estimate is not None
        if row["ROR_lower"] not in ("", "NA"):
            assert float(row["ROR_lower"]) - 0.01 <= odds.estimate <= float(row["ROR_upper"]) + 0.01
        ic = ic_noren(observed=a, expected=(a + b) * (a + c) / (a + b + c + d))
        printed = [float(row[k]) for k in ("IC_median", "IC_lower", "IC_upper")]
        assert [ic.estimate, ic.lower, ic.upper] == pytest.approx(printed, abs=0.0101)


def test_pvda_s_information_components_and_reporting_ratios(shared_data: Path) -> None:
    """UMC's package on its own simulated reports: distinct reports of a row's pair, within a group."""
    published = json.loads((shared_data / "check_pvda" / "pvda_published_results.json").read_text())
    rows = defaultdict(set)
    with (shared_data / "check_pvda" / "drug_event_df.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            rows[float(row["group"])].add((row["report_id"], row["drug"], row["event"]))
    for drug, event, group, observed, exp_rrr, low, ic, high, _, prr_low, ratio in published["grouped_rows"]:
        found = rows[float(group)]
        a = len({i for i, d, e in found if (d, e) == (drug, event)})
        with_drug = len({i for i, d, _ in found if d == drug})
        with_event = len({i for i, _, e in found if e == event})
        total = len({i for i, _, _ in found})
        expected = with_drug * with_event / total
        shrunk = ic_gamma(observed=a, expected=expected)
        assert a == observed
        assert expected == pytest.approx(exp_rrr, abs=0.0501)
        assert [shrunk.lower, shrunk.estimate, shrunk.upper] == pytest.approx([low, ic, high], abs=0.00501)
        b, c = with_drug - a, with_event - a
        proportional = prr(a=a, b=b, c=c, d=total - a - b - c)
        assert [proportional.lower, proportional.estimate] == pytest.approx([prr_low, ratio], abs=0.00501)
