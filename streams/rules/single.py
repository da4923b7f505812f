"""Rules that one case meets by itself: a designated medical event, a death, a child. Pure.

A designated event is a pair's; a death or a child's age is a case's, so its alert is the drug's, whatever the event:
an alert a term would say the same of one case many times.
"""

from __future__ import annotations

from collections.abc import Iterator

from streams.detect.contribution import Contribution
from streams.detect.totals import pair_scores
from streams.events import MICRO
from streams.monitors.rules import CaseRule, Designated, Rules
from streams.rules.finding import ANY_EVENT, Key

__all__ = ["DRUG_KINDS", "SingleCase", "kinds_of"]

DRUG_KINDS = ("fatal", "paediatric")


class SingleCase:
    """The single-case rules of a rules file that are on."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._designated = rules.designated_event if rules.designated_event and rules.designated_event.on else None
        self._terms = frozenset(t.casefold() for t in self._designated.terms) if self._designated else frozenset()
        self._drugs = {
            name: None if rule.drugs is None else frozenset(drug.casefold() for drug in rule.drugs)
            for name in ("designated_event", *DRUG_KINDS)
            if isinstance(rule := getattr(rules, name), CaseRule)
        }

    def keys(self, case: Contribution) -> Iterator[Key]:
        """(kind, drug, event) of every alert that the case is a reason for, each once."""
        for kind in kinds_of(self._rules, case):
            for drug in case.drugs:
                if self._watched(kind, drug):
                    yield (kind, drug, ANY_EVENT)
        rule = self._designated
        if rule is None or not _is_serious(rule, case):
            return
        least = rule.probability * MICRO
        for drug, event, micro in pair_scores(case):
            if micro >= least and event.casefold() in self._terms and self._watched("designated_event", drug):
                yield ("designated_event", drug, event)

    def _watched(self, kind: str, drug: str) -> bool:
        only = self._drugs[kind]
        return only is None or drug.casefold() in only


def kinds_of(rules: Rules, case: Contribution) -> Iterator[str]:
    """The kinds that the case is of, whatever its drugs: `fatal`, `paediatric`."""
    facts = case.facts
    if facts is None:
        return
    if rules.fatal is not None and rules.fatal.on and facts.fatal:
        yield "fatal"
    child = rules.paediatric
    if child is None or not child.on or facts.age is None or facts.age >= child.under_years:
        return
    if facts.serious or not child.serious:
        yield "paediatric"


def _is_serious(rule: Designated, case: Contribution) -> bool:
    stated = None if case.facts is None else case.facts.serious
    return rule.unknown_is_serious if stated is None else stated
