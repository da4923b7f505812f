"""One entry of the review history: who said what of an alert, when and why. Pure.

An entry is named by its content: its key on the topic is the SHA-256 of its bytes, and each entry holds the key of the
one before it. Keys are never used twice, so compaction drops nothing, and whoever has the bytes can check the name with
`sha256sum`. Bytes are hashed as they stand, so fields that a newer vigilia adds break no older one's check.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

__all__ = ["DECISIONS", "MOST_CHARACTERS", "Action", "ReviewEntry", "ReviewStatus", "decode_entry", "name_of"]

Action = Literal["validate", "refute", "close", "comment", "assign"]
ReviewStatus = Literal["unreviewed", "validated", "refuted", "closed"]

DECISIONS: dict[Action, ReviewStatus] = {"validate": "validated", "refute": "refuted", "close": "closed"}
"""What an alert is after a decision, in the words of GVP module IX; comments and assignments change nothing of it."""

MOST_CHARACTERS = 4000
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ReviewEntry(Struct, frozen=True, omit_defaults=True):
    """One thing that a person said of an alert.

    `number` counts the entries of the topic from 1; `previous` is the key of the entry before ("" for the first). `at`:
    milliseconds UTC by the clock of whoever wrote it. `monitor`, `drug`, `event`, `kind` repeat the alert's, which may
    go from its topic. `bucket` and `cases` are those of the revision that was looked at: what comes later has not been
    judged. `assignee`: of an assignment; empty takes the last one back. `schema`: of this record.
    """

    number: Annotated[int, Meta(ge=1)]
    previous: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
    alert: Name
    monitor: str
    drug: str
    event: str
    kind: str
    bucket: int
    cases: int
    action: Action
    who: Name
    at: int
    why: Annotated[str, Meta(max_length=MOST_CHARACTERS)] = ""
    assignee: Annotated[str, Meta(max_length=200)] = ""
    schema: int = 1


decode_entry = msgspec.json.Decoder(ReviewEntry).decode


def name_of(value: bytes) -> str:
    """The key of an entry: SHA-256 of its bytes, in hexadecimal digits."""
    return hashlib.sha256(value).hexdigest()
