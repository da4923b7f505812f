"""Follow-ups: later versions of a case, which change the evidence from their own bucket on and never a count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from streams.detect.contribution import Contribution, decode_contribution
from streams.detect.deduplication import case_key
from streams.state.bound import PAGE, BoundStore, Closing, pages

__all__ = ["FollowUp", "FollowUpStore"]

_unpack = msgspec.msgpack.Decoder(list[int | str]).decode


class FollowUp(NamedTuple):
    """A later version of a case, a duplicate for counting, that takes effect with a close."""

    contribution: Contribution
    version: int


class FollowUpStore(BoundStore):
    """The part of the store that reads later versions."""

    def followups(self, closing: Closing) -> list[FollowUp] | None:
        """Later versions of cases that take effect with this close, in order of bucket and position."""
        after = "-inf" if closing.closed is None else f"({closing.closed}"
        replies = self._read(
            closing.closed, [("ZRANGEBYSCORE", self.keys.held, (after, closing.bucket))], closing.bucket
        )
        if replies is None:
            return None
        result: list[FollowUp] = []
        for bucket in map(int, replies[0]):
            members = self._read(closing.closed, [("SMEMBERS", f"{self.keys.held_cases}{bucket}", ())], closing.bucket)
            found = None if members is None else self._followups_of(closing, bucket, sorted(members[0]))
            if found is None:
                return None
            result += found
        return result

    def _followups_of(self, closing: Closing, bucket: int, cases: Sequence[bytes]) -> list[FollowUp] | None:
        positions: dict[str, int] = {}
        for page in pages(cases):
            replies = self._read(closing.closed, [("HMGET", self.keys.followups, tuple(page))], closing.bucket)
            if replies is None:
                return None
            for packed in replies[0]:
                versions = _versions(packed)
                before = _newest(versions, bucket - 1, self.settings.window) or 0
                positions.update((p, version) for b, version, p in versions if b == bucket and version > before)
        result: list[FollowUp] = []
        for part in pages(sorted(positions)):
            command = ("HMGET", f"{self.keys.entries}{bucket}", tuple(part))
            replies = self._read(closing.closed, [command], closing.bucket)
            if replies is None:
                return None
            result += [
                FollowUp(decode_contribution(entry[2:]), positions[position])
                for position, entry in zip(part, replies[0], strict=True)
                if entry[:1] == b"d"
            ]
        return result

    def versions(self, closing: Closing, cases: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int] | None:
        """The newest version above 1 of each (topic, case id), as of this close; cases without one are left out."""
        result: dict[tuple[str, str], int] = {}
        for page in pages(cases, PAGE):
            fields = tuple(case_key(*case) for case in page)
            replies = self._read(closing.closed, [("HMGET", self.keys.followups, fields)], closing.bucket)
            if replies is None:
                return None
            for case, packed in zip(page, replies[0], strict=True):
                newest = _newest(_versions(packed), closing.bucket, self.settings.window)
                if newest is not None:
                    result[case] = newest
        return result


def _versions(packed: bytes | None) -> list[tuple[int, int, str]]:
    flat = [] if packed is None else _unpack(packed)
    return [(int(flat[i]), int(flat[i + 1]), str(flat[i + 2])) for i in range(0, len(flat), 3)]


def _newest(versions: Sequence[tuple[int, int, str]], until: int, window: int) -> int | None:
    return max((version for bucket, version, _ in versions if until - window < bucket <= until), default=None)
