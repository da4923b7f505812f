"""EBGM's prior from the reference window: refitted at each snapshot boundary, as evidence beside the rule."""

from __future__ import annotations

import numpy as np

from streams.detect.reference import ReferenceWindow
from streams.events import MICRO
from streams.signals.gps import Prior
from streams.signals.gps_fit import fit

__all__ = ["fit_prior"]

MIN_PAIRS = 50
DIGITS = 4  # of the hyperparameters: an optimiser's last digits are not the same on every processor


def fit_prior(window: ReferenceWindow) -> Prior | None:
    """Prior fitted to the window's pairs with at least one case, against their expectation within strata.

    A function of the window's totals alone: pairs are taken in sorted order, the search starts at a fixed point, the
    hyperparameters are rounded to 4 significant digits. None if fewer than 50 pairs have a case.
    """
    cases = np.maximum(window.cases, 1)
    rates = window.scores / MICRO / cases[:, np.newaxis]
    counts, means = [], []
    for drug in sorted(window.pairs):
        by_event = np.zeros(len(window.events), np.int64)
        for (column, _), micro in window.pairs[drug].items():
            by_event[column] += micro
        columns = np.flatnonzero(by_event >= MICRO)
        columns = np.array(sorted(columns.tolist(), key=window.events.__getitem__), np.int64)
        expected = np.zeros(len(columns))
        for n, rate in zip(window.drugs[drug].tolist(), rates, strict=True):
            expected += n * rate[columns]
        counts.append(by_event[columns] / MICRO)
        means.append(expected)
    n = np.concatenate(counts) if counts else np.zeros(0)
    if len(n) < MIN_PAIRS:
        return None
    found = fit(n=n, expected=np.concatenate(means), squashed=True)
    if found is None or not 0 < found.weight < 1:
        return None
    weight = min(max(found.weight, 10.0**-DIGITS), 1 - 10.0**-DIGITS)  # 0.99999 must not be rounded to 1
    return Prior(*(float(f"{value:.{DIGITS}g}") for value in found._replace(weight=weight)))
