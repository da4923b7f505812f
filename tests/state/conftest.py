"""A store on a real server, and short ways to fill it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.detect.contribution import Contribution
from streams.detect.deduplication import Message
from streams.detect.progress import Placed, Source, SourceState, Step, advance
from streams.detect.time import Timing
from streams.events import MICRO, Assessment, AssessmentRecord
from streams.state.parts import CloseResult
from streams.state.server import RedisServer
from streams.state.store import Applied, Refused, Store, StoreSettings

TIMING = Timing(width=10, disorder=3)


@dataclass
class Bench:
    """A store, and where the one assessments partition it is fed from stands."""

    store: Store
    at: int = 0
    sources: dict[Source, SourceState] = field(default_factory=dict)

    def apply(self, *records: AssessmentRecord) -> Applied | Refused:
        """Apply `records` as the next batch."""
        if not self.sources:
            self.sources = dict(self.store.positions().sources)
        step = advance(self.sources, records, TIMING)
        result = self.store.apply(0, self.at, self.at + len(records), step)
        if isinstance(result, Applied):
            self.at += len(records)
            self.sources.update(step.sources)
        return result

    def place(self, messages: Sequence[Message], **changes: Any) -> Applied:
        """Apply messages that are placed already, without moving any watermark."""
        placed = [Placed(m.bucket, m.keys, contribution(m.position, **changes)) for m in messages]
        result = self.store.apply(0, self.at, self.at + 1, Step({}, placed, advance({}, [], TIMING).outcomes, {}))
        assert isinstance(result, Applied)
        self.at += 1
        return result

    def close(self, alerts: Sequence[tuple[str, bytes]] = ()) -> int | None:
        """Close what is due; its bucket."""
        closing = self.store.closable()
        if closing is None:
            return None
        entries = self.store.entries(closing)
        assert entries is not None
        result = CloseResult(
            drugs={drug: f"{drug} after {closing.bucket}".encode() for case in entries for drug in case.drugs},
            aggregate=str(len(entries)).encode(),
            cases=entries,
            new_drugs=[] if closing.drugs else ["d"],
            new_events=[] if closing.events else ["e"],
            alerts=alerts,
            chain=f"{closing.chain}/{closing.bucket}",
            memo=b"memo",
        )
        chunks = self.store.chunks(closing, result)
        assert all(self.store.write_chunk(closing, chunk) for chunk in chunks)
        assert self.store.commit_close(closing, chunks, result)
        self.store.trim(closing.bucket)
        return closing.bucket

    def everything(self) -> dict[bytes, bytes]:
        """All that Redis holds of the monitor."""
        names = sorted(self.store.client.keys(f"{self.store.keys.prefix}*"))
        return {name: self.store.client.dump(name) for name in names}


def contribution(position: tuple[str, int, int], **changes: Any) -> Contribution:
    values = {"received_at": 0, "case_id": "c", "version": 1, "stratum": 0, "drugs": ("d",), "events": ("e",)}
    return Contribution(position=position, scores=(MICRO,), **(values | changes))


def report(offset: int, time: int, case: str = "", **changes: Any) -> Assessment:
    values = {"topic": "r", "partition": 0, "lo": offset, "version": 1, "stratum": 0, "drugs": ["d"], "events": ["e"]}
    values |= {"case_id": case or f"case {offset}", "scores": [MICRO], "offset": offset, "received_at": time}
    return Assessment(**(values | changes))


@pytest.fixture
def bench(redis_server: RedisServer, unique: Callable[[str], str]) -> Iterator[Bench]:
    """One source partition, duplicates within 3 buckets, a window of 5."""
    store = Store.connect(redis_server.url, StoreSettings(unique("monitor"), "hash", (("r", 0),), horizon=3, window=5))
    yield Bench(store)
    store.close()
