"""The printed tables of the sequential tests, beside `streams.signals.maxsprt` and `maxsprt_binomial`.

Horizons above `longest` are left out: the whole tables take a minute of CPU time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench.published import Check, Value, read, rounded, single
from streams.signals.maxsprt import Design, critical_value, performance
from streams.signals.maxsprt_binomial import BinomialDesign, binomial_critical_value, binomial_performance

FOLDER = "check_maxsprt"

# A delayed start makes the level jump; Sequential's search ends above the jump, where the level is lower than need be.
ABOVE_THE_JUMP = (2.5, 2.0)


def _rows(data: Path, name: str, longest: float) -> Iterator[tuple[float, dict[str, str]]]:
    """Horizon and filled cells of a printed table, by the number in the column's name."""
    for row in read(data / FOLDER / f"{name}.csv"):
        horizon = float(row.pop("T_expected_events"))
        if horizon <= longest:
            yield horizon, {column.rsplit("_", 1)[1]: text for column, text in row.items() if text}


@cache
def _critical(horizon: float, alpha: float = 0.05, cases: int = 1, start: float = 0.0) -> float:
    found = critical_value(Design(horizon, cases, start), alpha)
    return math.nan if found is None else found


def poisson_levels(data: Path, *, longest: float) -> Iterator[Value]:
    """Table 1 of Kulldorff 2011: 33 horizons at three levels."""
    for horizon, row in _rows(data, "kulldorff2011_table1_poisson_cv", longest):
        for alpha, printed in row.items():  # one cell, T = 800 at 0.001, is cut off instead of rounded
            yield rounded(f"T={horizon:g} alpha={alpha}", _critical(horizon, float(alpha)), printed, 0.65)


def poisson_least_cases(data: Path, *, longest: float) -> Iterator[Value]:
    """Table of Sequential by M, printed to 15 digits; its cells are checked to 10^-9."""
    for horizon, row in _rows(data, "sequential_cv_poisson_by_M_alpha0.05", longest):
        for cases, printed in row.items():
            yield Value(f"T={horizon:g} M={cases}", _critical(horizon, cases=int(cases)), float(printed), 1e-9)


def poisson_delayed(data: Path, *, longest: float) -> Iterator[Value]:
    """Table of Sequential by D, printed to six digits, found there to about 10^-6."""
    for horizon, row in _rows(data, "sequential_cv_poisson_by_D_alpha0.05", longest):
        for start, printed in row.items():
            if (horizon, float(start)) != ABOVE_THE_JUMP:
                yield rounded(f"T={horizon:g} D={start}", _critical(horizon, start=float(start)), printed, 1.5)


def poisson_power(data: Path, *, longest: float) -> Iterator[Value]:
    """Table 2: power at six relative risks."""
    for horizon, row in _rows(data, "kulldorff2011_table2_power_alpha0.05", longest):
        for risk, printed in row.items():
            ours = performance(_critical(horizon), Design(horizon), float(risk)).power
            yield rounded(f"T={horizon:g} RR={risk}", ours, printed, 0.51)


def poisson_times(data: Path, *, longest: float) -> Iterator[Value]:
    """Table 3: mean time to the signal, and mean length of the surveillance, at seven relative risks."""
    for name, part in (("mean_time_to_signal", "time_to_signal"), ("mean_surveillance_length", "length")):
        for horizon, row in _rows(data, f"kulldorff2011_table3_{name}", longest):
            for risk, printed in row.items():
                found = performance(_critical(horizon), Design(horizon), float(risk))
                yield rounded(f"T={horizon:g} RR={risk} {part}", getattr(found, part), printed)


def _level_of(cv: float, N: int, p: float, M: int) -> float:  # noqa: N803
    return binomial_performance(cv, BinomialDesign(N, p, M)).power


SINGLE: dict[str, Callable[..., Any]] = {
    "maxsprt_cv": lambda T, M, alpha: _critical(T, alpha, M),  # noqa: N803
    "CV.Poisson group": lambda T, alpha, GroupSizes: critical_value(Design.of_groups(GroupSizes), alpha),  # noqa: ARG005, N803
    "binomial_maxsprt_alpha": _level_of,
}


def documented(_: Path) -> Iterator[Value]:
    """Outputs in the manual of Sequential: Poisson performance, binomial groups, binomial sample size."""
    for name, ours, printed in zip(
        ("power", "mean time to signal", "mean length"),
        performance(3.467952, Design(10), 2),
        ("0.6850634", "4.130985", "5.979353"),
        strict=True,
    ):
        yield rounded(f"Performance.Poisson(10, RR 2) {name}", ours, printed, 1.5)
    exposed = 1 / (1 + 3.5)
    groups = BinomialDesign.of_groups((5,) * 5, exposed)
    cv = binomial_critical_value(groups)
    yield rounded("CV.Binomial(25, groups of 5)", cv, "1.9852")
    yield rounded("its level", binomial_performance(cv or 0, groups).power, "0.04775995")
    uneven = BinomialDesign.of_groups((10, 10, 15, 15), exposed)
    yield rounded("CV.Binomial(50, groups 10, 10, 15, 15)", binomial_critical_value(uneven), "1.99202")
    enough = next(cases for cases in range(1, 100) if _sample(cases)[2] >= 0.88)
    yield Value("SampleSize.Binomial(RR 5, power 0.88)", enough, 25, 0)
    for name, ours, printed in zip(
        ("cv", "level", "power"), _sample(25), ("4.59581", "0.009755004", "0.8855869"), strict=True
    ):
        yield rounded(f"SampleSize.Binomial {name}", ours, printed, 1.0)


def _sample(cases: int) -> tuple[float, float, float]:
    design = BinomialDesign(cases, 1 / 3)
    cv = binomial_critical_value(design, 0.01)
    if cv is None:
        return (math.nan, 0.0, 0.0)
    return (cv, binomial_performance(cv, design).power, binomial_performance(cv, design, 5).power)


def checks(longest: float = math.inf) -> tuple[Check, ...]:
    """The comparisons, of horizons up to `longest`."""
    tables = (
        ("Poisson MaxSPRT: critical values at 3 levels", "Kulldorff 2011, table 1", poisson_levels),
        ("Poisson MaxSPRT: critical values by least cases M", "R package Sequential", poisson_least_cases),
        ("Poisson MaxSPRT: critical values by delayed start D", "R package Sequential", poisson_delayed),
        ("Poisson MaxSPRT: power", "Kulldorff 2011, table 2", poisson_power),
        ("Poisson MaxSPRT: time to signal, length", "Kulldorff 2011, table 3", poisson_times),
    )
    return (
        *(Check(title, source, partial(values, longest=longest)) for title, source, values in tables),
        Check("MaxSPRT: Poisson, grouped, binomial: single values", "R package Sequential", partial(single, SINGLE)),
        Check("MaxSPRT: performance, binomial groups, sample size", "manual of R package Sequential", documented),
    )


__all__ = ["ABOVE_THE_JUMP", "checks"]
