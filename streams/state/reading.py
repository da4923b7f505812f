"""What a close is computed from, and what open buckets hold.

Other workers close buckets too, and Redis may be emptied or set back between two reads. So every read for a close is
bound to the last closed bucket it is for (`read.lua`): it gives what the log says at that point, or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from streams.detect.contribution import Contribution, decode_contribution
from streams.detect.deduplication import case_key
from streams.state.parts import EvidenceRow, decode_member
from streams.state.session import Session, pack, raw

__all__ = ["Base", "Closing", "FollowUp", "ReadStore"]

_PAGE = 2000  # fields of one command inside a script: Lua's unpack fails near 8,000
_SCAN = 4000
_ALERTS = 500  # records of one command: some megabytes at most
_T = TypeVar("_T")
_unpack = msgspec.msgpack.Decoder(list[int | str]).decode


class Base(NamedTuple):
    """The state after the last close: its bucket (None before the first), how many there were, the history's hash."""

    closed: int | None
    ordinal: int
    chain: str
    drugs: int
    events: int
    memo: bytes


class Closing(NamedTuple):
    """A close that may be attempted: of `bucket`, with `counted` cases, after `closed`."""

    closed: int | None
    bucket: int
    counted: int
    ordinal: int
    chain: str
    drugs: int
    events: int


class FollowUp(NamedTuple):
    """A later version of a case, a duplicate for counting, that takes effect with a close."""

    contribution: Contribution
    version: int


class ReadStore(Session):
    """The part of the store that only reads."""

    # ------------------------------------------------------------ what a close starts from

    def closable(self) -> Closing | None:
        """The close that is due now, if there is one."""
        keys = self.keys
        found = self.run(
            "closable",
            [keys.meta, keys.positions, keys.open, keys.counted, keys.drugs, keys.events],
            self._roster,
        )
        if not found:
            return None
        closed, bucket, counted, ordinal, chain, drugs, events = found
        return Closing(None if closed is None else int(closed), bucket, counted, ordinal, chain.decode(), drugs, events)

    def base(self) -> Base:
        """The state after the last close."""
        keys = self.keys
        with self._errors():
            pipe = self.client.pipeline(transaction=True)
            pipe.hmget(keys.meta, ["closed", "ordinal", "chain", "memo"])
            pipe.llen(keys.drugs)
            pipe.llen(keys.events)
            (closed, ordinal, chain, memo), drugs, events = pipe.execute()
        return Base(
            None if closed is None else int(closed),
            int(ordinal or 0),
            (chain or b"").decode(),
            drugs,
            events,
            memo or b"",
        )

    def _read(
        self,
        at: int | None,
        commands: Sequence[tuple[str, str, tuple[str | bytes | int, ...]]],
        bucket: int | None = None,
    ) -> list[Any] | None:
        """Replies to (command, key, arguments), if `at` is the last closed bucket (and `bucket` the one to close)."""
        keys, names = self.keys, list(dict.fromkeys(key for _, key, _ in commands))
        index = {key: i for i, key in enumerate(names, start=1)}
        replies: list[Any] | None = self.run(
            "read",
            [keys.meta, keys.positions, keys.open, keys.counted, *names],
            "" if at is None else at,
            "" if bucket is None else bucket,
            self._roster,
            pack([(command, index[key], *map(_plain, arguments)) for command, key, arguments in commands]),
        )
        return replies

    # ------------------------------------------------------------ reads

    def entries(self, closing: Closing) -> list[Contribution] | None:
        """The counted cases of the bucket, in order of position."""
        key, cursor = f"{self.keys.entries}{closing.bucket}", b"0"
        found: dict[bytes, bytes] = {}
        while True:
            replies = self._read(closing.closed, [("HSCAN", key, (cursor, "COUNT", _SCAN))], closing.bucket)
            if replies is None:
                return None
            cursor, flat = replies[0]
            found.update(zip(flat[::2], flat[1::2], strict=True))
            if cursor == b"0":
                break
        counted = [decode_contribution(entry[2:]) for _, entry in sorted(found.items()) if entry[:1] == b"c"]
        # A scan over a table that was replaced meanwhile may miss entries: it is taken only if it is complete.
        return counted if len(counted) == closing.counted else None

    def drug_states(self, at: int | None, drugs: Sequence[str]) -> dict[str, bytes | None] | None:
        """The alarm state of each drug after the close of `at`; None for a drug that has none."""
        states: dict[str, bytes | None] = {}
        for page in pages(drugs):
            replies = self._read(at, [("HGETALL", self.keys.drug(drug), ()) for drug in page])
            if replies is None:
                return None
            for drug, flat in zip(page, replies, strict=True):
                fields = {int(b): blob for b, blob in zip(flat[::2], flat[1::2], strict=True)}
                committed = [b for b in fields if at is not None and b <= at]
                states[drug] = fields[max(committed)] if committed else None
        return states

    def aggregates(self, at: int | None) -> dict[int, bytes] | None:
        """The aggregate of each closed bucket of the reference window, (at - window, at], in order."""
        if at is None:
            return {}
        first = f"({at - self.settings.window}"
        replies = self._read(at, [("ZRANGEBYSCORE", self.keys.closed, (first, at))])
        if replies is None:
            return None
        result: dict[int, bytes] = {}
        for page in pages(replies[0], 200):
            blobs = self._read(at, [("HMGET", self.keys.aggregates, tuple(page))])
            if blobs is None:
                return None
            result.update((int(b), blob) for b, blob in zip(page, blobs[0], strict=True))
        return result

    def terms(self, at: int | None) -> tuple[list[str], list[str]] | None:
        """Drugs and events in the order of their index."""
        replies = self._read(at, [("LRANGE", key, (0, -1)) for key in (self.keys.drugs, self.keys.events)])
        if replies is None:
            return None
        drugs, events = ([name.decode() for name in names] for names in replies)
        return drugs, events

    def evidence(
        self, at: int | None, pairs: Sequence[tuple[str, str]], since: int, limit: int | None = None
    ) -> dict[tuple[str, str], list[EvidenceRow]] | None:
        """Counted cases of each (drug, event) in the buckets (since, at], newest first, at most `limit` of each.

        The bucket being closed is not in it: its cases are at hand.
        """
        result: dict[tuple[str, str], list[EvidenceRow]] = {pair: [] for pair in pairs}
        if at is None:
            return result
        cut = () if limit is None else ("LIMIT", 0, limit)
        for page in pages(pairs, 200):
            replies = self._read(
                at,
                [
                    ("ZREVRANGEBYSCORE", self.keys.evidence(*pair), (at, f"({since}", "WITHSCORES", *cut))
                    for pair in page
                ],
            )
            if replies is None:
                return None
            for pair, flat in zip(page, replies, strict=True):
                members = [(int(float(score)), member) for member, score in zip(flat[::2], flat[1::2], strict=True)]
                cases = self._cases(at, members)
                if cases is None:
                    return None
                result[pair] = cases
        return result

    def _cases(self, at: int, members: Sequence[tuple[int, bytes]]) -> list[EvidenceRow] | None:
        rows = []
        for page in pages(members, _PAGE):
            decoded = [(bucket, *decode_member(member)) for bucket, member in page]
            replies = self._read(
                at, [("HMGET", f"{self.keys.cases}{bucket}", (position,)) for bucket, position, *_ in decoded]
            )
            if replies is None:
                return None
            rows += [
                EvidenceRow(bucket, decode_contribution(entry[2:]), micro, drug, effect)
                for (bucket, _, micro, drug, effect), (entry,) in zip(decoded, replies, strict=True)
            ]
        return rows

    def raised_alerts(self, at: int | None) -> dict[str, bytes] | None:
        """The newest record of every alert raised up to the close of `at`, in order of id."""
        replies = self._read(at, [("HKEYS", self.keys.alerts, ())])
        if replies is None:
            return None
        result: dict[str, bytes] = {}
        for page in pages(sorted(replies[0]), _ALERTS):
            values = self._read(at, [("HMGET", self.keys.alerts, tuple(page))])
            if values is None:
                return None
            found = zip(page, values[0], strict=True)
            result.update((i.decode(), v.split(b":", 2)[2]) for i, v in found if v is not None and v[:1] == b"1")
        return result

    # ------------------------------------------------------------ follow-ups

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
        for page in pages(cases, _PAGE):
            fields = tuple(case_key(*case) for case in page)
            replies = self._read(closing.closed, [("HMGET", self.keys.followups, fields)], closing.bucket)
            if replies is None:
                return None
            for case, packed in zip(page, replies[0], strict=True):
                newest = _newest(_versions(packed), closing.bucket, self.settings.window)
                if newest is not None:
                    result[case] = newest
        return result

    # ------------------------------------------------------------ open buckets, for provisional alerts

    def open_buckets(self) -> dict[int, int]:
        """Open buckets and how many entries of them count now."""
        with self._errors():
            found: Mapping[bytes, bytes] = self.client.hgetall(self.keys.counted)
        return {bucket: n for bucket, n in sorted((int(b), int(n)) for b, n in found.items()) if n > 0}

    def changes(self, bucket: int, start: int) -> tuple[int, dict[str, Contribution | None]]:
        """What happened in an open bucket since change number `start`, and the number of the next change.

        Maps a position to its case, or to None if it does not count (any more). A smaller number than `start` comes
        back when Redis was set back or the bucket closed: begin again at 0.
        """
        with self._errors():
            pipe = self.client.pipeline(transaction=True)
            pipe.llen(f"{self.keys.changes}{bucket}")
            pipe.lrange(f"{self.keys.changes}{bucket}", start, -1)
            total, positions = pipe.execute()
            positions = list(dict.fromkeys(positions))
            found: dict[str, Contribution | None] = {}
            for page in pages(positions, _PAGE):
                entries = self.client.hmget(f"{self.keys.entries}{bucket}", page)
                for position, entry in zip(page, entries, strict=True):
                    counts = entry is not None and entry[:1] == b"c"
                    found[position.decode()] = decode_contribution(entry[2:]) if counts else None
        return total, found


def _plain(argument: str | bytes | int) -> str | msgspec.Raw:
    """Numbers as text: a script would write a large one in floating point."""
    return raw(argument) if isinstance(argument, bytes) else str(argument)


def _versions(packed: bytes | None) -> list[tuple[int, int, str]]:
    flat = [] if packed is None else _unpack(packed)
    return [(int(flat[i]), int(flat[i + 1]), str(flat[i + 2])) for i in range(0, len(flat), 3)]


def _newest(versions: Sequence[tuple[int, int, str]], until: int, window: int) -> int | None:
    return max((version for bucket, version, _ in versions if until - window < bucket <= until), default=None)


def pages(items: Sequence[_T], size: int = _PAGE) -> Iterator[Sequence[_T]]:
    """`items` in slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
