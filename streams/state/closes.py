"""How the result of a close is written, and what is forgotten after it.

1. What it is computed from is read bound to the last closed bucket (`reading.py`).
2. Parts of the result are written under the bucket's number, where nobody looks before the commit (`chunk.lua`).
3. One script commits, iff the expected bucket is the last closed one, the watermarks allow the close, and every part
   is still there (`commit.lua`).

False means that another worker was faster or Redis is not what it was: drop the attempt and start again.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.detect.contribution import decode_contribution, encode_contribution
from streams.state.bound import Closing, pages
from streams.state.parts import Chunk, CloseResult, evidence_keys, split
from streams.state.reading import ReadStore
from streams.state.session import pack, raw

__all__ = ["CloseStore"]

_SCAN = 4000


class CloseStore(ReadStore):
    """The part of the store that closes buckets."""

    def chunks(self, closing: Closing, result: CloseResult) -> list[Chunk]:
        """`result` without its commit, cut into parts that keep the server busy for some milliseconds each."""
        return split(self.keys, self.position, closing.bucket, result)

    def write_chunk(self, closing: Closing, chunk: Chunk) -> bool:
        """Write one part. False: the attempt is void."""
        keys = self.keys
        written: int = self.run(
            "chunk",
            [keys.meta, keys.aggregates, keys.chunks, *chunk.keys],
            "" if closing.closed is None else closing.closed,
            closing.bucket,
            chunk.token,
            chunk.packed(),
        )
        return bool(written)

    def commit_close(self, closing: Closing, chunks: Sequence[Chunk], result: CloseResult) -> bool:
        """Close the bucket. False: another worker did, or the state is not what this close was computed from.

        Raises StateConflict if it has the same last closed bucket and still another history, or other cases.
        """
        k = self.keys
        committed: int = self.run(
            "commit",
            k.for_commit(),
            "" if closing.closed is None else closing.closed,
            closing.bucket,
            self._roster,
            closing.counted,
            closing.chain,
            result.chain,
            result.memo,
            pack([chunk.token for chunk in chunks]),
            pack([closing.drugs, closing.events]),
            pack(result.new_drugs),
            pack(result.new_events),
            pack([x for alert_id, record in sorted(result.alerts) for x in (alert_id, raw(record))]),
            pack([raw(encode_contribution(followup)) for followup in result.followups]),
        )
        return bool(committed)

    def trim(self, closed: int, *, limit: int = 1000) -> None:
        """Forget what the close of `closed` has moved out of the horizon and the window. May be cut off anywhere."""
        keys = self.keys
        last = closed - max(self.settings.horizon, self.settings.window)
        with self._errors():
            held = [int(b) for b in self.client.zrangebyscore(keys.held, "-inf", last)]
            expired = [int(b) for b in self.client.zrangebyscore(keys.closed, "-inf", closed - self.settings.window)]
        for bucket in held:
            names = [keys.meta, keys.keys, keys.held, keys.followups]
            names += [f"{keys.held_keys}{bucket}", f"{keys.held_cases}{bucket}"]
            while self.run("trim", names, closed, bucket, last, limit):
                pass
        for bucket in expired:
            self._expire(closed, bucket, limit)

    def _expire(self, closed: int, bucket: int, limit: int) -> None:
        keys, cases, followed = self.keys, f"{self.keys.cases}{bucket}", f"{self.keys.followed}{bucket}"
        with self._errors():
            entries = [entry for _, entry in self.client.hscan_iter(cases, count=_SCAN)]
        counted = [decode_contribution(entry[2:]) for entry in entries if entry[:1] == b"c"]
        names = sorted(evidence_keys(keys, counted))
        parts = list(pages(names, limit)) or [[]]
        for i, page in enumerate(parts, start=1):
            done = int(i == len(parts))
            fixed = [keys.meta, keys.aggregates, keys.closed, cases, followed]
            if not self.run("expire", [*fixed, *page], closed, bucket, done):
                return
