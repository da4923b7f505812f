"""An open bucket as a look sees it: its counted cases and what is summed of them, kept change by change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streams.detect.contribution import Contribution
from streams.detect.totals import BucketTotals
from streams.rules.window import BucketFacts
from streams.state.reading import Changes

__all__ = ["OpenBucket"]


class OpenBucket:
    """Counted cases of an open bucket, and later versions of earlier ones.

    `facts`: what they are to the rules, if there are any · `following`: the number of the next change to be taken over
    · `touched`: drugs whose cases have changed since it was last emptied.
    """

    def __init__(self, bucket: int, facts: BucketFacts | None) -> None:
        self.totals = BucketTotals(bucket)
        self.facts = facts
        self.following = 0
        self.touched: set[str] = set()
        self._cases: dict[str, Contribution] = {}
        self._later: set[str] = set()
        self._by_drug: dict[str, dict[str, Contribution]] = {}

    @property
    def number(self) -> int:
        """The bucket's."""
        return self.totals.bucket

    def __bool__(self) -> bool:
        return bool(self._cases)

    def take(self, changes: Changes) -> bool:
        """Take over what has changed; whether anything differs now."""
        differs = False
        for position, contribution in changes.counted.items():
            old = self._cases.get(position)
            if old == contribution:
                continue
            differs = True
            if old is not None:
                self._remove(position, old)
            if contribution is not None:
                self._add(position, contribution)
        for position, version in changes.later.items():
            # No version ever leaves: what does not count now will not count again.
            if self.facts is not None and position not in self._later:
                self._later.add(position)
                self.facts.add_later(version)
                differs = True
        self.following = changes.following
        return differs

    def _add(self, position: str, case: Contribution) -> None:
        self._cases[position] = case
        self.totals.add(case)
        if self.facts is not None:
            self.facts.add(case)
        self.touched.update(case.drugs)
        for drug in case.drugs:
            self._by_drug.setdefault(drug, {})[position] = case

    def _remove(self, position: str, case: Contribution) -> None:
        del self._cases[position]
        self.totals.remove(case)
        if self.facts is not None:
            self.facts.remove(case)
        self.touched.update(case.drugs)
        for drug in case.drugs:
            del self._by_drug[drug][position]

    def cases_with(self, drugs: Iterable[str]) -> Iterator[Contribution]:
        """The cases that name any of `drugs`, each once."""
        found: dict[str, Contribution] = {}
        for drug in drugs:
            found.update(self._by_drug.get(drug, {}))
        yield from found.values()
