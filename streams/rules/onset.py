"""Pairs whose time to onset is not constant. Pure.

The window tells when a pair's cases with a known onset have doubled; their days tell the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from streams.detect.reference import ReferenceView
from streams.monitors.rules import Onset
from streams.rules.finding import Finding, Situated
from streams.rules.joint import Joint
from streams.signals.onset import weibull
from streams.signals.rounding import round_published

__all__ = ["onset_candidates", "shaped"]


def onset_candidates(
    rule: Onset, touched: Mapping[Joint, int], count: Callable[[Joint], int], view: ReferenceView
) -> Iterator[Finding]:
    """Pairs whose cases with a known onset reach the rule's number, twice, four times as many, ..."""
    for key, added in sorted(touched.items()):
        if key[0] != "onset":
            continue
        now = count(key)
        if now >= rule.cases and (now // rule.cases).bit_length() > ((now - added) // rule.cases).bit_length():
            yield Finding("onset", key[1], key[2], 0.0, 1.0, view.table(key[1], key[2]), {})


def shaped(rule: Onset, finding: Finding, cases: list[Situated]) -> Finding | None:
    """The finding with the shape of its onsets, or None if that may be constant or the rule looks for another."""
    days = sorted(c.facts.onset_days for _, c in cases if c.facts is not None and c.facts.onset_days is not None)
    with np.errstate(over="ignore"):  # a step of the fit that goes too far is taken back
        fit = weibull(days) if days else None
    if fit is None or fit.pattern not in rule.patterns:
        return None
    shape, scale = fit.shape, fit.scale
    bound = 1 / (shape.upper or 1.0) if fit.pattern == "early" else shape.lower or 1.0
    measures = {
        "onset_shape": shape.estimate,
        "onset_shape_lower": shape.lower,
        "onset_shape_upper": shape.upper,
        "onset_scale_days": scale.estimate,
        "onset_median_days": float(days[len(days) // 2]),
    }
    return replace(
        finding,
        statistic=round_published(bound),
        measures={name: round_published(value) for name, value in measures.items()},
        detail={"pattern": fit.pattern},
    )
