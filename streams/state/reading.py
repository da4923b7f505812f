"""What a close is computed from, each piece bound to the last closed bucket (`bound.py`); what open buckets hold."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

from streams.detect.contribution import Contribution, decode_contribution
from streams.state.bound import PAGE, Closing, pages
from streams.state.followups import FollowUpStore
from streams.state.parts import EvidenceRow, decode_member

__all__ = ["Changes", "ClosedCases", "ReadStore"]

_SCAN = 4000
_ALERTS = 500  # records of one command: some megabytes at most


class ClosedCases(NamedTuple):
    """A closed bucket: its counted cases in order of position, and the later versions that the rules were told of."""

    bucket: int
    counted: list[Contribution]
    followups: list[Contribution]


class Changes(NamedTuple):
    """What happened in an open bucket. `following`: the number of the next change.

    `counted`: by position the case, or None if it does not count (any more). `later`: of those that do not, by position
    the ones that call themselves a later version of their case.
    """

    following: int
    counted: dict[str, Contribution | None]
    later: dict[str, Contribution]


class ReadStore(FollowUpStore):
    """The part of the store that only reads."""

    def entries(self, closing: Closing) -> list[Contribution] | None:
        """The counted cases of the bucket, in order of position."""
        found = self._scanned(closing.closed, f"{self.keys.entries}{closing.bucket}", closing.bucket)
        if found is None:
            return None
        counted = _counted(found)
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

    def aggregates(self, at: int | None, known: Container[int] = ()) -> dict[int, bytes] | None:
        """The aggregate of each closed bucket of the reference window, (at - window, at], in order; not of `known`."""
        if at is None:
            return {}
        first = f"({at - self.settings.window}"
        replies = self._read(at, [("ZRANGEBYSCORE", self.keys.closed, (first, at))])
        if replies is None:
            return None
        result: dict[int, bytes] = {}
        for page in pages([bucket for bucket in replies[0] if int(bucket) not in known], 200):
            blobs = self._read(at, [("HMGET", self.keys.aggregates, tuple(page))])
            if blobs is None:
                return None
            result.update((int(b), blob) for b, blob in zip(page, blobs[0], strict=True))
        return result

    def closed_cases(self, at: int) -> Iterator[ClosedCases | None]:
        """Each closed bucket of the reference window, in order; None, and nothing after it, if `at` is not the last
        closed bucket any more."""
        replies = self._read(at, [("ZRANGEBYSCORE", self.keys.closed, (f"({at - self.settings.window}", at))])
        if replies is None:
            yield None
            return
        for bucket in map(int, replies[0]):
            found = self._scanned(at, f"{self.keys.cases}{bucket}")
            later = self._read(at, [("LRANGE", f"{self.keys.followed}{bucket}", (0, -1))])
            if found is None or later is None:
                yield None
                return
            yield ClosedCases(bucket, _counted(found), [decode_contribution(packed) for packed in later[0]])

    def _scanned(self, at: int | None, key: str, bucket: int | None = None) -> dict[bytes, bytes] | None:
        """The fields of a hash, piece by piece."""
        cursor, found = b"0", dict[bytes, bytes]()
        while True:
            replies = self._read(at, [("HSCAN", key, (cursor, "COUNT", _SCAN))], bucket)
            if replies is None:
                return None
            cursor, flat = replies[0]
            found.update(zip(flat[::2], flat[1::2], strict=True))
            if cursor == b"0":
                return found

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
        for page in pages(members, PAGE):
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

    # ------------------------------------------------------------ open buckets, for provisional alerts

    def open_buckets(self) -> dict[int, int]:
        """Open buckets and how many entries of them count now."""
        with self._errors():
            found: Mapping[bytes, bytes] = self.client.hgetall(self.keys.counted)
        return {bucket: n for bucket, n in sorted((int(b), int(n)) for b, n in found.items()) if n > 0}

    def changes(self, bucket: int, start: int) -> Changes:
        """What happened in an open bucket since change number `start`.

        A smaller number than `start` comes back when Redis was set back or the bucket closed: begin again at 0.
        """
        with self._errors():
            pipe = self.client.pipeline(transaction=True)
            pipe.llen(f"{self.keys.changes}{bucket}")
            pipe.lrange(f"{self.keys.changes}{bucket}", start, -1)
            total, positions = pipe.execute()
            positions = list(dict.fromkeys(positions))
            found = Changes(total, {}, {})
            for page in pages(positions, PAGE):
                entries = self.client.hmget(f"{self.keys.entries}{bucket}", page)
                for packed, entry in zip(page, entries, strict=True):
                    position = packed.decode()
                    case = None if entry is None else decode_contribution(entry[2:])
                    counts = case is not None and entry[:1] == b"c"
                    found.counted[position] = case if counts else None
                    if case is not None and not counts and case.version > 1:
                        found.later[position] = case
        return found


def _counted(entries: Mapping[bytes, bytes]) -> list[Contribution]:
    return [decode_contribution(entry[2:]) for _, entry in sorted(entries.items()) if entry[:1] == b"c"]
