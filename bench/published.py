"""What others printed, beside what `streams.signals` gives for the same input: one function a source.

The files lie in ../shared/data (its INDEX names their origins). A value passes if it differs by no more than its print
allows: half a unit of the last digit, a whole unit where the source cuts digits off instead of rounding.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.signals import bulk
from streams.signals.exact import rate_ratio, relative_reporting_ratio, ror_fisher
from streams.signals.expected import expected_within_strata
from streams.signals.gps import Prior, ebgm, posterior, quantile
from streams.signals.gps_fit import Truncation, fit, negative_log_likelihood
from streams.signals.information import bcpnn_gould, ic_gamma, ic_noren
from streams.signals.stratified import Strata, mantel_haenszel_ror, mantel_haenszel_test
from streams.signals.tables import chi_squared, lrt_huang, lrt_poisson, prr, ror

Floats = NDArray[np.float64]

UNIROOT = 2**-13  # tolerance of R's uniroot, on the odds ratio or its inverse, whichever is below 1


class Value(NamedTuple):
    """One published number and ours."""

    name: str
    ours: float
    printed: float
    allowed: float

    @property
    def difference(self) -> float:
        return abs(self.ours - self.printed)

    @property
    def agrees(self) -> bool:
        return self.difference <= self.allowed


@dataclass(frozen=True)
class Check:
    """A source and how to compare with it."""

    title: str
    source: str
    values: Callable[[Path], Iterator[Value]]


def unit(printed: object) -> float:
    """One of the last digit of a number as it is printed.

    >>> unit("3.10"), unit(12)
    (0.01, 1.0)
    """
    exponent = Decimal(str(printed)).as_tuple().exponent
    return float(10.0 ** int(exponent))


def rounded(name: str, ours: float | None, printed: object, units: float = 0.505) -> Value:
    """A value printed to a number of digits; None is no number and never agrees."""
    return Value(name, math.nan if ours is None else float(ours), float(str(printed)), units * unit(printed))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


# Statistics of R and of other packages, one number at a time


def _gps(theta: Sequence[float], N: float, E: float) -> tuple[float, ...]:  # noqa: N803
    post = posterior(n=N, expected=E, prior=Prior(*theta))
    return (post.weight, ebgm(post), quantile(post, 0.05), quantile(post, 0.95))


SINGLE: dict[str, Callable[..., Any]] = {
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


def single(functions: dict[str, Callable[..., Any]], data: Path) -> Iterator[Value]:
    """Values of check_statistics/check_values.json that these functions answer, with the tolerance stated there."""
    for check in _json(data / "check_statistics" / "check_values.json"):
        if check["function"] not in functions:
            continue
        ours = functions[check["function"]](**check["inputs"])
        listed = isinstance(check["expected"], list)
        pairs = zip(ours, check["expected"], strict=True) if listed else [(ours, check["expected"])]
        for found, printed in pairs:
            allowed = check["tolerance"] * (abs(printed) if check["tol_kind"] == "rel" else 1)
            yield Value(check["id"], math.nan if found is None else found, printed, allowed)


ADMISSIONS = ((512, 313, 89, 19), (353, 207, 17, 8), (120, 205, 202, 391), (138, 279, 131, 244), (53, 138, 94, 299),
              (22, 351, 24, 317))  # fmt: skip


def of_r(_: Path) -> Iterator[Value]:
    """The examples of R's own help pages: `mantelhaen.test(UCBAdmissions)`, `poisson.test(c(11, 21), c(800, 3011))`."""
    strata = Strata.of(ADMISSIONS)
    pairs = zip(mantel_haenszel_ror(strata), ("0.9046968", "0.7719074", "1.0603298"), strict=True)
    for ours, printed in pairs:
        yield rounded("Mantel-Haenszel odds ratio", ours, printed)
    yield rounded("Mantel-Haenszel chi-squared, corrected", mantel_haenszel_test(strata), "1.4269")
    yield rounded("Mantel-Haenszel chi-squared", mantel_haenszel_test(strata, corrected=False), "1.5246")
    rates = rate_ratio(cases=11, exposure=800, other_cases=21, other_exposure=3011)
    for ours, printed in zip(rates, ("1.971488", "0.8584264", "4.2772659"), strict=True):
        yield rounded("rate ratio", ours, printed)


# Whole data sets


def diana_ror(data: Path) -> Iterator[Value]:
    """Cut to two digits, after R's `fisher.test`, whose search stops 2^-13 from the root."""
    for row in read(data / "check_disproportionality" / "diana_faers_2x2_ror_ic.csv"):
        a, b, c, d = (int(row[k]) for k in ("D_E", "D_nE", "nD_E", "nD_nE"))
        for ours, column in zip(ror_fisher(a=a, b=b, c=c, d=d), ("ROR_median", "ROR_lower", "ROR_upper"), strict=True):
            printed = float(row[column])
            allowed = 0.0101 + UNIROOT * max(1.0, printed) ** 2  # an error of the inverse, seen on the odds ratio
            yield Value(
                f"{row['substance']} {row['event']} {column}", math.nan if ours is None else ours, printed, allowed
            )


def diana_ic(data: Path) -> Iterator[Value]:
    for row in read(data / "check_disproportionality" / "diana_faers_2x2_ror_ic.csv"):
        a, b, c, d = (int(row[k]) for k in ("D_E", "D_nE", "nD_E", "nD_nE"))
        found = ic_noren(observed=a, expected=(a + b) * (a + c) / (a + b + c + d))
        for ours, column in zip(found, ("IC_median", "IC_lower", "IC_upper"), strict=True):
            yield rounded(f"{row['substance']} {row['event']} {column}", ours, row[column], 1.01)


def pvda(data: Path) -> Iterator[Value]:
    """UMC's package on its own simulated reports: distinct reports of a pair, in each group and in all."""
    published = _json(data / "check_pvda" / "pvda_published_results.json")
    reports = [
        (float(row["group"]), (row["report_id"], row["drug"], row["event"]))
        for row in read(data / "check_pvda" / "drug_event_df.csv")
    ]
    first = published["ungrouped_first_row"]
    printed = (first["obs"], first["exp_rrr"], first["ic2.5"], first["ic"], first["ic97.5"])
    rows = [(first["drug"], first["event"], None, *printed)]
    for row in [*rows, *published["grouped_rows"]]:
        found = {report for group, report in reports if row[2] is None or group == row[2]}
        a = len({i for i, d, e in found if (d, e) == (row[0], row[1])})
        with_drug, with_event = (
            len({i for i, d, _ in found if d == row[0]}),
            len({i for i, _, e in found if e == row[1]}),
        )
        total = len({i for i, _, _ in found})
        expected = with_drug * with_event / total
        ic = ic_gamma(observed=a, expected=expected)
        c = with_event - a
        ratio = prr(a=a, b=with_drug - a, c=c, d=total - with_drug - c)
        elsewhere = with_drug * c / (total - with_drug)
        ours = (a, expected, ic.lower, ic.estimate, ic.upper, elsewhere, ratio.lower, ratio.estimate)
        for value, shown in zip(ours, row[3:], strict=False):
            yield rounded(" ".join(map(str, row[:3])), value, shown)


class Caers(NamedTuple):
    """Pairs of the CAERS reports, unstratified: names, cases, expectation, and the 2x2 table's other cells."""

    pairs: list[tuple[str, str]]
    n: Floats
    expected: Floats
    b: Floats
    c: Floats
    d: Floats


@cache
def caers(data: Path) -> Caers:
    sets: dict[str, defaultdict[Any, set[str]]] = {name: defaultdict(set) for name in ("product", "event", "pair")}
    for row in read(data / "caers_openebgm" / "caers.csv"):
        keys = {"product": row["var1"], "event": row["var2"], "pair": (row["var1"], row["var2"])}
        for name, key in keys.items():
            sets[name][key].add(row["id"])
    total = len(set().union(*sets["product"].values()))
    pairs = list(sets["pair"])
    n = np.array([len(sets["pair"][pair]) for pair in pairs], float)
    products, events = (
        np.array([len(sets[name][pair[i]]) for pair in pairs], float) for i, name in enumerate(("product", "event"))
    )
    return Caers(pairs, n, products * events / total, products - n, events - n, total - products - events + n)


def openebgm_prior(data: Path) -> Iterator[Value]:
    """Likelihood and fit of the prior with openEBGM's truncation, and with the exact one."""
    n, expected = caers(data).n, caers(data).expected
    for check in _json(data / "check_statistics" / "check_values.json"):
        if check["function"].startswith("gps_negll"):
            prior = Prior(*check["inputs"]["theta"])
            ours = negative_log_likelihood(n=n, expected=expected, prior=prior, truncation="component")
            yield Value(check["id"], ours, check["expected"], check["tolerance"])
        elif check["function"].startswith("gps_fit"):
            truncation: Truncation = "mixture" if "mixture" in check["function"] else "component"
            found = fit(n=n, expected=expected, truncation=truncation)
            for value, printed in zip(found or (math.nan,) * 5, check["expected"], strict=True):
                yield Value(check["id"], value, printed, check["tolerance"] * abs(printed))


def openebgm_scores(data: Path) -> Iterator[Value]:
    """EBGM, EB05 and EB95 of all 17,189 pairs: rows, summaries and counts that the vignettes print.

    openEBGM searches quantiles to two places, so their last digit may be cut off; counts and summaries are of scores
    rounded to two places. RR and PRR are the classical ones.
    """
    published = _json(data / "check_ebgm" / "openEBGM_published_results.json")
    prior = Prior(*published["hyperparameters"]["vignette04_theta_hat"].values())
    table = caers(data)
    place = {pair: i for i, pair in enumerate(table.pairs)}
    scores = {"EBGM": bulk.ebgm(n=table.n, expected=table.expected, prior=prior)} | {
        name: bulk.ebgm_quantile(n=table.n, expected=table.expected, prior=prior, probability=q)
        for name, q in (("EB05", 0.05), ("EB95", 0.95))
    }
    ratios = bulk.prr(a=table.n, b=table.b, c=table.c, d=table.d).estimate
    for row in [*published["head_rows"], *published["top5_by_EB05"]]:
        i = place[row["var1"], row["var2"]]
        for name, found in scores.items():
            yield Value(f"{row['var2']} {name}", float(found[i]), row[name], 0.00505 if name == "EBGM" else 0.0101)
        yield Value(f"{row['var2']} E", float(table.expected[i]), row["E"], 1e-8)
        if "RR" in row:
            relative = relative_reporting_ratio(observed=table.n[i], expected=table.expected[i]).estimate
            yield rounded(f"{row['var2']} RR", relative, f"{row['RR']:.2f}")
            if row["PRR"] != "Inf":  # ours is undefined there
                yield rounded(f"{row['var2']} PRR", float(ratios[i]), f"{row['PRR']:.2f}")
    signals = np.round(scores["EB05"], 2) >= 2
    counts = Counter(product for (product, _), signal in zip(table.pairs, signals, strict=True) if signal)
    yield Value("pairs", len(table.pairs), published["dataset_counts"]["product_event_pairs_N_ge_1"], 0)
    yield Value("pairs with EB05 >= 2", int(signals.sum()), published["n_pairs_EB05_ge_2"], 0)
    yield Value("pairs with EBGM > 3", int((np.round(scores["EBGM"], 2) > 3).sum()), published["n_pairs_EBGM_gt_3"], 0)
    for product, number in published["signals_per_product_EB05_ge_2"].items():
        yield Value(f"signals of {product}", counts[product], number, 0)
    places = {"min": 0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1}
    for name, summary in published["summary"].items():
        for key, printed in summary.items():
            ours = scores[name].mean() if key == "mean" else np.quantile(scores[name], places[key])
            yield Value(f"{key} of {name}", float(ours), printed, 0.0101)


CHECKS = (
    Check("PRR, ROR, chi-squared, IC, BCPNN, EBGM, LRT: single values", "R (epiR, stats), pvda, openEBGM, pvLRT, PhViD",
          lambda data: single(SINGLE, data)),
    Check("Mantel-Haenszel with Robins-Breslow-Greenland; rate ratio", "examples of R's help pages", of_r),
    Check("ROR, conditional, with Fisher's interval", "DiAna, 97 FAERS tables", diana_ror),
    Check("IC with Noren's bounds", "DiAna, 97 FAERS tables", diana_ic),
    Check("IC with gamma bounds, PRR, expectations", "pvda (UMC), simulated reports", pvda),
    Check("EBGM prior: likelihood and fit, both truncations", "openEBGM, CAERS", openebgm_prior),
    Check("EBGM, EB05, EB95, RR, PRR of 17,189 pairs", "openEBGM, CAERS", openebgm_scores),
)  # fmt: skip
