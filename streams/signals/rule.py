"""Parameters of the alarm rule: what its two levels share, and what each has of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["AlarmRule"]


@dataclass(frozen=True)
class AlarmRule:
    """Parameters of both levels. Spans of time are in whole buckets. Defaults: those measured on VAERS, a day a bucket.

    pairs: K, the drug-event pairs that share the budget · open_vocabulary: whether there may be more, at smaller shares
    (`streams.detect.shares`) · false_alarms_per_year: A · buckets_per_year: b, closed buckets in a year · burn_in:
    buckets from the first one that are counted only · window: the reference · snapshot: distance of snapshots · recent:
    "six months ago" · past: how old own past must be · concurrent: "lately" · bystander: span of its
    cases · coded: every score is 0 or 1 · reserve: share of strong's budget that is kept for new drugs.
    """

    pairs: int = 66_600
    false_alarms_per_year: float = 5.0
    buckets_per_year: float = 238.0
    strata: int = 5
    burn_in: int = 365
    window: int = 730
    snapshot: int = 91
    recent: int = 182
    past: int = 365
    bystander: int = 365
    concurrent: int = 30
    bucket_ms: int = 86_400_000
    thetas: tuple[float, ...] = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
    rho: float = 2.0
    stratum_prior: float = 200.0
    past_prior: float = 5.0
    concurrent_prior: float = 5.0
    score_cap: float = 3.0
    min_cases: float = 3.0
    min_days: int = 3
    bound_level: float = 0.05
    strong_thetas: tuple[float, ...] = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
    strong_weights: tuple[float, ...] = (0.1, 0.15, 0.2, 0.2, 0.15, 0.1, 0.1)
    reserve: float = 0.5
    coded: bool = True
    exclude_own: bool = False
    open_vocabulary: bool = False
    listed: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    non_reactions: frozenset[str] = field(default_factory=frozenset)

    @property
    def injection(self) -> float:
        """a = 1/K: what each pair's M gains in each closed bucket."""
        return 1.0 / self.pairs

    @property
    def head_start(self) -> float:
        """a*b: M of a pair when its drug is first seen, as if a year had passed."""
        return self.buckets_per_year / self.pairs

    @property
    def strong_injection(self) -> float:
        """The same of level strong, which keeps a part of it in reserve."""
        return (1.0 - self.reserve) * self.injection

    @property
    def strong_head_start(self) -> float:
        """M of a pair of level strong when its drug is first seen in the burn-in; a later drug's is larger."""
        return (1.0 - self.reserve) * self.head_start

    @property
    def threshold(self) -> float:
        """c = 2b/A."""
        return 2.0 * self.buckets_per_year / self.false_alarms_per_year

    @property
    def caution(self) -> float:
        """What level early's threshold is c times of: max(1, 2.5 (5/A)^1.5).

        Its alarms where nothing is true fall more slowly than A (3.9, 6.0 and 9.8 a year at A = 1.3, 5 and 13.3), so
        below 10 a year c alone would let too many through: docs/decisions/levels.md.

        >>> AlarmRule(false_alarms_per_year=5).caution, AlarmRule(false_alarms_per_year=200).caution
        (2.5, 1.0)
        """
        return max(1.0, 2.5 * math.pow(5.0 / self.false_alarms_per_year, 1.5))
