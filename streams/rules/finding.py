"""What a rule beside the signal finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from streams.detect.contribution import Contribution
from streams.events import Status, Table

__all__ = ["ANY_EVENT", "Finding", "Key", "Past", "Situated", "status_of"]

ANY_EVENT = "*"  # the event of an alert on a drug, whatever the event

Key = tuple[str, str, str]  # (kind, drug, event): an alert of a monitor
Situated = tuple[int, Contribution]  # a counted case and its bucket


class Past(Struct, frozen=True):
    """What is known of an alert that a rule raised: first day, bucket of the last decision, cases then."""

    raised_at: str
    decided: int
    cases: int


@dataclass(frozen=True)
class Finding:
    """A rule's reason for an alert. Pure data; `statistic` and `threshold` are in the rule's own unit.

    `cases`: the evidence in the reference window, in order of bucket; None for every counted case of the pair.
    `past`: the alert as it stands, None for a first one.
    """

    kind: str
    drug: str
    event: str
    status: Status
    statistic: float
    threshold: float
    table: Table
    measures: Mapping[str, float | None]
    cases: Sequence[Situated] | None = None
    past: Past | None = None

    @property
    def key(self) -> Key:
        """What makes the alert's id, within its monitor."""
        return (self.kind, self.drug, self.event)


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
