"""Detect, the part that does I/O without a loop: what a worker does with Redis, from one thread.

Applies batches of assessments, closes what is due, looks at open buckets, and says what the alerts topic lacks. When
each of these happens is decided in `detecting`; what they mean is decided in `streams.detect` and `streams.alerts`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from streams.alerts.closer import Closed, Closer
from streams.alerts.provisional import Provisional
from streams.alerts.publisher import Message, Publisher
from streams.alerts.revisions import Revision
from streams.detect.progress import Source, SourceState, advance, holding
from streams.detect.time import Timing
from streams.errors import StateConflict
from streams.events import END_OF_TIME, decode_record
from streams.monitors import Monitor
from streams.state.session import StoreSettings
from streams.state.store import Applied, Positions, Refused, Store

__all__ = ["Detection"]

log = structlog.get_logger(__name__)

TAKEOVER_SECONDS: Final = 0.5
MOST_OPEN: Final = 64  # open buckets; disorder and an idle night make a handful
HELD_SECONDS: Final = 60.0
BEHIND_SECONDS: Final = 1.0
CLOSING_SECONDS: Final = 0.5  # closes in a row before the next batch is applied


class Detection:
    """One worker's detect stage. All calls from one thread, but the constructor.

    `until`: source end offsets of a bounded run, which ends behind the end ticks if there are `end_ticks`. Any call
    may raise StoreUnavailable (call again later) and StateDirty (call `rebuild`, then again). A Redis that is not where
    it was is no error: the worker reads on from where it is.
    """

    def __init__(
        self,
        monitor: Monitor,
        redis_url: str,
        *,
        vocabulary: str,
        until: Mapping[Source, int] | None = None,
        end_ticks: bool = True,
    ) -> None:
        self.monitor = monitor
        self.until = until
        self._end_ticks = end_ticks
        self._url = redis_url
        self._vocabulary = vocabulary
        self._timing = Timing(monitor.bucket_ms, monitor.disorder_ms)
        self._sources: dict[Source, SourceState] = {}
        self._next: dict[int, int] = {}
        self._waiting: tuple[int | None, float] | None = None
        self._looked, self._look_pause = 0.0, 0.0  # end of the last look, and seconds that the next one must wait
        self.closed: int | None = None  # the last bucket that this worker closed

    def open(self) -> None:
        """Connect. Raises ConfigurationError, SettingsChanged, SchemaTooNew, StoreUnavailable."""
        self.store = Store.connect(self._url, StoreSettings.of(self.monitor))
        self.closer = Closer(self.monitor, self.store, vocabulary=self._vocabulary)
        self.provisional = Provisional(self.closer)
        self.publisher = Publisher(self.store)

    def close(self) -> None:
        """Drop the connection."""
        self.store.close()

    def status(self) -> dict[str, object]:
        """Records applied of the partitions read here, and the last bucket closed here. From any thread."""
        return {"applied": sum(list(self._next.values())), "closed": self.closed}

    # ------------------------------------------------------------ assessments

    def starts(self, partitions: Sequence[int]) -> dict[int, int]:
        """Where Redis wants each assessments partition to be read from."""
        positions = self.store.positions()
        starts = {partition: positions.next.get(partition, 0) for partition in partitions}
        self._stand(starts, positions)
        return starts

    def _stand(self, following: Mapping[int, int], positions: Positions) -> None:
        """Go on from `positions` in the partitions `following` alone: next offset and sources belong together."""
        self._next.update(following)
        self._sources.update((source, s) for source, s in positions.sources.items() if source[1] in following)

    def moved(self) -> dict[int, int]:
        """Assessments partitions at which Redis stands elsewhere than this worker left it, and where it stands.

        An emptied or set back Redis is noticed so even if nothing arrives that would have to be applied.
        """
        found = self.store.positions()
        moved = {p: found.next.get(p, 0) for p, expected in self._next.items() if found.next.get(p, 0) != expected}
        if any(offset < self._next[partition] for partition, offset in moved.items()):
            self.provisional.forget()  # but not where others go on with a partition that was ours
        self._stand(moved, found)
        return moved

    def apply(self, partition: int, a0: int, a1: int, values: Sequence[bytes]) -> Applied | Refused:
        """Apply the records [a0, a1) of a partition. Refused: nothing was applied, read on from where it says.

        Raises StateConflict for bytes on the assessments topic that are no record: what is in the log must be ours.
        """
        try:
            step = advance(self._sources, map(decode_record, values), self._timing)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            topic = f"{self.monitor.assessments_topic}/{partition}"
            raise StateConflict(
                f"{topic}: something between offsets {a0} and {a1 - 1} is no assessment record; who else writes there?"
            ) from None
        outcome = self.store.apply(partition, a0, a1, step)
        if isinstance(outcome, Refused):
            found = self.store.positions()  # both in one reading: Redis may have moved again since it refused
            outcome = Refused(found.next.get(partition, 0))
            self._stand({partition: outcome.next_a}, found)
            if outcome.next_a < a0:
                self.provisional.forget()
            log.info("read_on_from_redis", partition=partition, expected=a0, next=outcome.next_a)
        else:
            self._sources.update(step.sources)
            self._next[partition] = a1
            if step.outcomes["beyond"]:
                log.warning("records_beyond", partition=partition, records=step.outcomes["beyond"])
        return outcome

    def rebuild(self) -> None:
        """Wipe what a script left half done; the log is read from the start."""
        log.warning("state_dirty", monitor=self.monitor.name)
        self.store.wipe()
        self.closer.forget()
        self.provisional.forget()

    # ------------------------------------------------------------ buckets

    def close_due(self, seconds: float = CLOSING_SECONDS) -> list[Closed]:
        """Close what is due, for about `seconds`."""
        deadline = time.monotonic() + seconds
        done: list[Closed] = []
        while time.monotonic() < deadline and self._is_mine():
            closed = self.closer.close_next()
            if closed is None:
                break
            done.append(closed)
            self.closed = closed.bucket
        return done

    def _is_mine(self) -> bool:
        """Whether to try: as the one who closed last, or after that one has left a due bucket for a moment.

        Only spares work. That a bucket is closed once, and right, does not rest on it.
        """
        closing = self.store.closable()
        if closing is None:
            self._waiting = None
            return False
        if closing.closed is None or (self.closer.holds_state and self.closer.at == closing.closed):
            return True
        now = time.monotonic()
        if self._waiting is None or self._waiting[0] != closing.closed:
            self._waiting = (closing.closed, now)
        return now - self._waiting[1] >= TAKEOVER_SECONDS

    def look(self, *, behind: bool = False) -> int:
        """Look at the open buckets for provisional alerts; how many fire. Takes at most half of the time.

        While assessments wait (`behind`) there is better to do, and buckets may close before anyone has looked at them;
        but somebody who is always a little behind must get alerts too, so then it is a look every BEHIND_SECONDS.

        Too many open buckets are not looked at: then a silent partition holds the watermark, and the log names it.
        """
        begun = time.monotonic()
        pause = max(self._look_pause, BEHIND_SECONDS) if behind else self._look_pause
        if begun < self._looked + pause or self.store.closable() is not None:
            return 0
        if (number := len(self.store.open_buckets())) > MOST_OPEN:
            self._tell_who_holds(number)
            self._looked, self._look_pause = begun, HELD_SECONDS
            return 0
        found = len(self.provisional.look())
        self._looked = time.monotonic()
        self._look_pause = self._looked - begun
        return found

    def _tell_who_holds(self, open_buckets: int) -> None:
        _, holders = holding(self.store.positions().sources)
        log.warning(
            "watermark_held",
            partitions=[f"{topic}/{number}" for topic, number in holders[:10]],
            open_buckets=open_buckets,
            advice="no bucket closes before these partitions say that time has passed: live = true in the monitor "
            "lets the clock say it for a quiet one",
        )

    # ------------------------------------------------------------ alerts

    def lacking(self) -> list[Message]:
        """What the alerts topic lacks."""
        return self.publisher.prepare()

    def undelivered(self, revisions: Sequence[Revision]) -> None:
        """These were not delivered after all."""
        for revision in revisions:
            self.publisher.failed(revision)

    # ------------------------------------------------------------ the end of a bounded run

    def is_finished(self) -> bool:
        """Whether everything up to `until` is applied and every bucket is closed.

        An end tick says so by itself: it is valid only behind the last record. `next` need not get to `until` then,
        since the last offsets of a log may hold nothing to read (markers of transactions).
        """
        if self.until is None:
            return False
        sources = self.store.positions().sources
        reached = all(
            state.latest is not None and state.latest >= END_OF_TIME
            if self._end_ticks
            else state.next >= self.until.get(source, 0)
            for source, state in sources.items()
        )
        return reached and self.store.closable() is None
