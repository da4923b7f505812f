"""What a rule beside the signal finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from streams.detect.contribution import Contribution
from streams.events import Status, Table

__all__ = ["ANY_EVENT", "Finding", "Key", "Past", "Situated", "is_due", "status_of"]

ANY_EVENT = "*"  # the event of an alert on a drug, whatever the event

Key = tuple[str, str, str]  # (kind, drug, event): an alert of a monitor
Situated = tuple[int, Contribution]  # a counted case and its bucket


class Past(Struct, frozen=True):
    """What is known of an alert that a rule raised: first day, last decision, cell a of its table then."""

    raised_at: str
    decided: int
    a: float


@dataclass(frozen=True)
class Finding:
    """A rule's reason for an alert. Pure data; `statistic` and `threshold` are in the rule's own unit.

    `cases`: the evidence, in order of bucket; None for every counted case of the pair in the reference window.
    `count`: cases, where the evidence holds only some of them. `detail`: what else the alert is about, in words.
    `past`: the alert as it stands, None for a first one.
    """

    kind: str
    drug: str
    event: str
    statistic: float
    threshold: float
    table: Table
    measures: Mapping[str, float | None]
    cases: Sequence[Situated] | None = None
    count: int | None = None
    detail: Mapping[str, str] = field(default_factory=dict)
    status: Status = "new"
    past: Past | None = None

    @property
    def key(self) -> Key:
        """What makes the alert's id, within its monitor."""
        return (self.kind, self.drug, self.event)

    @property
    def pair(self) -> tuple[str, str]:
        """The drug and the event whose cases are the evidence: of two drugs, the first."""
        return (self.detail.get("first", self.drug), self.event)


def is_due(past: Past | None, a: float, growth: float) -> bool:
    """Whether an alert may be raised or updated: it is the first, or its cases have grown by the factor."""
    return past is None or a >= growth * past.a


def status_of(
    drug: str, event: str, *, listed: frozenset[tuple[str, str]], non_reactions: frozenset[str], known: bool
) -> Status:
    """The first status that fits: listed, non_reaction, update (`known`: it alerted before), new."""
    folded = event.casefold()
    if (drug.casefold(), folded) in listed:
        return "listed"
    if folded in non_reactions:
        return "non_reaction"
    return "update" if known else "new"
