"""The counting rule: which messages are the first of their case.

A message counts iff no smaller (bucket, topic, partition, offset) within the horizon shares any of its keys, whether
that one was counted or not: losers hold keys too. So the order of arrival does not matter, and adding a message can
only turn counted ones of the same or later buckets into duplicates, never the other way round.

`decide` is the rule over a whole log; the audit and the tests use it. The worker applies the same rule message by
message in `state/lua/apply.lua`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from streams.detect.contribution import Position
from streams.events import Assessment

__all__ = ["Message", "case_key", "decide", "keys_of"]


class Message(NamedTuple):
    """What the rule needs of a message; ordered by (bucket, position)."""

    bucket: int
    position: Position
    keys: tuple[bytes, ...]


def case_key(topic: str, case_id: str) -> bytes:
    """The key that all messages of a case share within their topic: 16 bytes, no part of the id can be read off it."""
    return blake2b(f"{len(topic)}:{topic}:{case_id}".encode(), digest_size=16, person=b"vigilia-case").digest()


def keys_of(assessment: Assessment) -> tuple[bytes, ...]:
    """The keys of a message: its case key first, then one for each fingerprint. Fingerprints match across topics."""
    keys = [case_key(assessment.topic, assessment.case_id)]
    for fingerprint in assessment.fingerprints:
        key = blake2b(fingerprint.encode(), digest_size=16, person=b"vigilia-print").digest()
        if key not in keys:
            keys.append(key)
    return tuple(keys)


def decide(messages: Iterable[Message], horizon: int) -> dict[Position, Position | None]:
    """For each message None if it counts, else the position of a smaller one whose duplicate it is.

    `horizon` is in buckets: a message further back than that does not make a duplicate. Of several it names the
    smallest among the newest holders of each key.
    """
    newest: dict[bytes, tuple[int, Position]] = {}
    outcome: dict[Position, Position | None] = {}
    for message in sorted(messages, key=lambda m: (m.bucket, m.position)):
        rivals = [
            holder for key in message.keys if (holder := newest.get(key)) and message.bucket - holder[0] <= horizon
        ]
        outcome[message.position] = min(rivals)[1] if rivals else None
        for key in message.keys:
            newest[key] = (message.bucket, message.position)
    return outcome
