"""The truth about a generated year, for comparison with what vigilia makes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

__all__ = ["Story"]


@dataclass
class Story:
    """What was put into the messages. Every number can be recounted from them, and a test does.

    Of the `messages`, `broken` (by reason code) become dead letters. The others are reports and notes; of these
    `duplicates` (by kind) don't count, and `late` ones count, but late. `resent`: the same report under another case
    id; `forwarded`: the same on the other topic; `copied`: the same note under another case id; `follow_up`: a higher
    version of a case. `out_of_order` have an earlier received_at than one before them on their topic.

    The planted signal is (`drug`, `event`), more frequent than chance from `onset` on: `planted_reports` reports code
    it and `planted_notes` notes assert it from then on, beyond what chance does. Only cases that count are counted.
    """

    seed: int
    first: date
    last: date
    drug: str
    event: str
    onset: date
    messages: int = 0
    topics: Counter[str] = field(default_factory=Counter)
    reports: int = 0
    notes: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    late: int = 0
    out_of_order: int = 0
    mentions: Counter[str] = field(default_factory=Counter)
    planted_reports: int = 0
    planted_notes: int = 0
    by_chance: int = 0

    @property
    def counted(self) -> int:
        """Cases that count."""
        return self.reports + self.notes - self.duplicates.total()
