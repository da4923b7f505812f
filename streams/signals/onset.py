"""Time to onset: the shape of a Weibull distribution fitted to the days between a drug and an event.

Events that have nothing to do with the drug come at any time (shape 1); a reaction clusters after the dose (shape below
1: the hazard falls) or builds up (above 1). Days are whole numbers, and onset on the day of the dose is common, so each
is taken as an interval [day, day + 1): a density would have no value at 0.
Only reported cases with both dates are seen, and late onsets are reported less: read it beside disproportion.
Source: Cornelius, Sauzet, Evans, Drug Saf 2012;35:599; Sauzet et al., Drug Saf 2013;36:995.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streams.signals.tables import Z95, Interval

__all__ = ["Onset", "Pattern", "weibull"]

Floats = NDArray[np.float64]
Pattern = Literal["early", "constant", "late"]

_STEP = 1e-4  # of central differences of the gradient: their error is about its square
_CONVERGED = 1e-9  # step of the logarithms
_HOPELESS = 1e12  # damping: every step is 0 to rounding
_MAX_LOG = 5.0  # of the logarithm of a shape that is still a distribution: beyond, all days fall together


class Onset(NamedTuple):
    """Shape and scale (days) with 95% intervals; `cases` is their number."""

    shape: Interval
    scale: Interval
    cases: int

    @property
    def pattern(self) -> Pattern:
        """`early` if the shape's interval lies below 1, `late` if above, else `constant`."""
        if self.shape.upper is not None and self.shape.upper < 1:
            return "early"
        return "late" if self.shape.lower is not None and self.shape.lower > 1 else "constant"


def _objective(point: Floats, start: Floats, end: Floats, weight: Floats) -> tuple[float, Floats]:
    """Negative log likelihood of onset in [start, end) and its gradient by (log shape, log scale)."""
    shape = math.exp(point[0])
    with np.errstate(divide="ignore"):  # log 0 at day 0
        powers = [shape * (np.log(t) - point[1]) for t in (start, end)]
    z0, z1 = (np.exp(np.minimum(p, 700.0)) for p in powers)
    by_shape = [np.where(z > 0, z, 0) * np.where(z > 0, p, 0) for z, p in zip((z0, z1), powers, strict=True)]
    gap = np.maximum(z1 - z0, 1e-300)
    stay, leave = np.exp(-gap), -np.expm1(-gap)
    value = -z0 + np.log(leave)
    gradient = [(stay * g1 - g0) / leave for g0, g1 in ((by_shape[0], by_shape[1]), (-shape * z0, -shape * z1))]
    return -float(weight @ value), -np.array([float(weight @ g) for g in gradient])


def _from_logarithms(logs: Floats) -> Floats:
    """Where the search starts: mean and standard deviation of the logarithms are those of a Gumbel distribution."""
    shape = math.pi / math.sqrt(6) / float(logs.std())
    return np.array([min(math.log(shape), _MAX_LOG - 1), float(logs.mean()) + float(np.euler_gamma) / shape])


def _information(point: Floats, args: tuple[Floats, Floats, Floats]) -> Floats:
    """Second derivatives of the negative log likelihood, by central differences of the gradient."""
    rows = []
    for step in np.eye(2) * _STEP:
        rows.append((_objective(point + step, *args)[1] - _objective(point - step, *args)[1]) / (2 * _STEP))
    return np.asarray(np.array(rows) + np.array(rows).T) / 2


def _largest(point: Floats, args: tuple[Floats, Floats, Floats]) -> Floats | None:
    """Where the likelihood is largest: Newton's steps, shortened (Levenberg) until each is an improvement."""
    value, gradient = _objective(point, *args)
    damping = 1e-3
    for _ in range(200):
        matrix = _information(point, args)
        matrix += damping * np.diag(np.abs(np.diag(matrix)) + 1e-6)
        step = -np.linalg.solve(matrix, gradient)
        tried = point + step
        if abs(tried[0]) < _MAX_LOG and (found := _objective(tried, *args))[0] <= value:
            point, (value, gradient), damping = tried, found, damping / 10
            if np.abs(step).max() < _CONVERGED:
                return point
        elif damping > _HOPELESS:
            return point if np.abs(step).max() < _CONVERGED else None
        else:
            damping *= 10
    return None


def weibull(days: ArrayLike, *, width: float = 1.0) -> Onset | None:
    """Maximum-likelihood Weibull fit to onsets known to lie in [day, day + `width`).

    Intervals are Wald's on the log scale. None if fewer than two different days are given, or they lie so close that
    no shape is largest. Deterministic. Raises ValueError for a negative day or a width of 0.

    >>> fit = weibull([0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 6, 7, 9, 30, 61])
    >>> [round(x, 3) for x in fit.shape], round(fit.scale.estimate, 2), fit.pattern
    ([0.73, 0.494, 1.078], 7.63, 'constant')
    """
    values = np.sort(np.asarray(days, float), axis=None)  # the order of cases must not decide a last bit
    if not (np.isfinite(values) & (values >= 0)).all() or not width > 0:
        raise ValueError("days must be a list of numbers >= 0, and the width above 0")
    start, weight = np.unique(values, return_counts=True)
    if len(start) < 2:
        return None
    args = (start, start + width, weight.astype(float))
    point = _largest(_from_logarithms(np.log(values + width / 2)), args)
    if point is None or abs(point[0]) > _MAX_LOG - 0.01:  # the search stopped at the wall, not at a maximum
        return None
    information = _information(point, args)
    if not (np.linalg.eigvalsh(information) > 0).all():
        return None
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    shape, scale = (
        Interval(math.exp(x), math.exp(x - Z95 * se), math.exp(x + Z95 * se))
        for x, se in zip(point.tolist(), errors.tolist(), strict=True)
    )
    return Onset(shape, scale, len(values))
