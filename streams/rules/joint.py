"""Counts of what goes together in one case: two drugs, a drug's lot, a known onset. Pure.

Kept only for the rules that are on. An event is in a case if its score is a half or more. The counts' names:

| key | cases |
|---|---|
| `("all",)`, `("drug", d)`, `("event", e)`, `("pair", d, e)` | in all, with a drug, an event, both |
| `("with", d1, d2)`, `("with", d1, d2, e)` | with two drugs, d1 < d2; with the event too |
| `("known", d, kind)`, `("known", d, kind, e)` | of a drug whose lot or manufacturer is known; with the event too |
| `("group", d, kind, g)`, `("group", d, kind, g, e)` | of that lot or manufacturer; with the event too |
| `("onset", d, e)` | with a known time to onset |
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from streams.detect.contribution import Contribution
from streams.events import MICRO
from streams.monitors.rules import Rules

__all__ = ["Joint", "groups_of", "joint_counts"]

Joint = tuple[str, ...]
HALF = MICRO // 2


def joint_counts(case: Contribution, rules: Rules) -> Iterator[Joint]:
    """The counts that a case adds one to, each once."""
    events = [event for event, micro in zip(case.events, case.scores, strict=True) if micro >= HALF]
    interaction, masking = rules.interaction is not None and rules.interaction.on, rules.masking and rules.masking.on
    if interaction or masking:
        yield ("all",)
        for event in events:
            yield ("event", event)
        for drug in case.drugs:
            yield ("drug", drug)
            for event in events:
                yield ("pair", drug, event)
        for pair in combinations(case.drugs, 2):
            yield ("with", *pair)
            for event in events:
                yield ("with", *pair, event)
    if rules.lot_cluster is not None and rules.lot_cluster.on:
        yield from _lots(case, events)
    if rules.onset is not None and rules.onset.on and case.facts is not None and case.facts.onset_days is not None:
        for drug in case.drugs:
            for event in events:
                yield ("onset", drug, event)


def _lots(case: Contribution, events: list[str]) -> Iterator[Joint]:
    groups = groups_of(case)
    for drug, kind in sorted({(drug, kind) for drug, kind, _ in groups}):
        yield ("known", drug, kind)
        for event in events:
            yield ("known", drug, kind, event)
    for group in groups:
        yield ("group", *group)
        for event in events:
            yield ("group", *group, event)


def groups_of(case: Contribution) -> list[tuple[str, str, str]]:
    """(drug, `lot` or `manufacturer`, its name) of the case's drugs, each once, sorted."""
    found = set()
    for lot in () if case.facts is None else case.facts.lots:
        if lot.drug in case.drugs:
            found |= {(lot.drug, "lot", lot.lot)} if lot.lot else set()
            found |= {(lot.drug, "manufacturer", lot.manufacturer)} if lot.manufacturer else set()
    return sorted(found)
