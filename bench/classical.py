"""The rules that are in use elsewhere, run day by day over cumulative counts: what they alert, and when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.detect.contribution import Contribution
from streams.signals import bulk
from streams.signals.gps import Prior
from streams.signals.gps_fit import fit
from streams.signals.maxsprt import llr

RULES = ("Evans", "IC025 > 0", "MaxSPRT, LLR >= 12", "EB05 >= 2")
STRATA = 5
BURN_IN = 365
REFIT = 91  # days between two fits of EBGM's prior
Alert = tuple[int, str, str, int]  # day, drug, event, cases


class Classical:
    """Counts since the first day. Each rule alerts once for a pair, on the first day with a case on which it holds.

    Evans, EB05: crude tables. IC (gamma quantiles), MaxSPRT (n >= 3): expectation within age strata. Nothing alerts in
    the first year, and what holds at its end alerts with its next case.
    """

    def __init__(self) -> None:
        self.alerts: dict[str, list[Alert]] = {rule: [] for rule in RULES}
        self._seen: dict[str, set[tuple[int, int]]] = {rule: set() for rule in RULES}
        self._drugs: dict[str, int] = {}
        self._events: dict[str, int] = {}
        self._n = np.zeros((64, STRATA))
        self._m = np.zeros((4096, STRATA))
        self._s = np.zeros((64, 4096))
        self._cases = np.zeros(STRATA)
        self._first: int | None = None
        self._prior: tuple[int, Prior | None] = (-1, None)

    def close(self, day: int, cases: Sequence[Contribution]) -> None:
        """Count a day's cases, then look at the pairs they name."""
        touched = set()
        for case in cases:
            drugs = [self._drugs.setdefault(drug, len(self._drugs)) for drug in case.drugs]
            events = [self._events.setdefault(event, len(self._events)) for event in case.events]
            self._cases[case.stratum] += 1
            self._n[drugs, case.stratum] += 1
            self._m[events, case.stratum] += 1
            self._s[np.ix_(drugs, events)] += 1
            touched.update((d, e) for d in drugs for e in events)
        if self._first is None:
            self._first = day
        if day - self._first < BURN_IN or not touched:
            return
        self._look(day, np.array(sorted(touched)))

    def _look(self, day: int, pairs: np.ndarray) -> None:
        d, e = pairs.T
        a = self._s[d, e]
        n, m, total = self._n.sum(1)[d], self._m.sum(1)[e], self._cases.sum()
        crude = n * m / total
        within = (self._n[d] * self._m[e] / np.maximum(self._cases, 1)).sum(1)
        prior = self._fitted(day)
        holds = {
            "Evans": bulk.evans(a=a, b=n - a, c=m - a, d=total - n - m + a),
            "IC025 > 0": bulk.ic_gamma(observed=a, expected=within).lower > 0,
            "MaxSPRT, LLR >= 12": (llr(a, within) >= 12) & (a >= 3),
            "EB05 >= 2": bulk.ebgm_quantile(n=a, expected=crude, prior=prior, probability=0.05) >= 2
            if prior is not None
            else np.zeros(len(a), bool),
        }
        drugs, events = list(self._drugs), list(self._events)
        for rule, found in holds.items():
            for i in np.flatnonzero(found).tolist():
                pair = (int(d[i]), int(e[i]))
                if pair not in self._seen[rule]:
                    self._seen[rule].add(pair)
                    self.alerts[rule].append((day, drugs[pair[0]], events[pair[1]], int(a[i])))

    def _fitted(self, day: int) -> Prior | None:
        if day // REFIT != self._prior[0]:
            s = self._s[: len(self._drugs), : len(self._events)]
            d, e = np.nonzero(s)
            crude = self._n.sum(1)[d] * self._m.sum(1)[e] / self._cases.sum()
            self._prior = (day // REFIT, fit(n=s[d, e], expected=crude, squashed=True))
        return self._prior[1]
