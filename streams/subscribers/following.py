"""Following a stream that is promoted: the route, looked up after each fetch of alerts and never before it.

That order is what the protocol of promotions rests on (docs/decisions/cutover.md): an alert that was published after a
proposal was written is met by a reader that knows of the proposal.
"""

from __future__ import annotations

import re
import time

from streams.routing import Route
from streams.settings import Settings
from streams.subscribers.cutovers import CutoverLog
from streams.subscribers.partition import Partition

__all__ = ["Following"]

LOOK_SECONDS = 1.0  # between two looks while no alerts come
_METADATA = re.compile(r"route:(\d+)")


class Following:
    """The route of one stream for one reader. All calls from the reader's thread."""

    def __init__(self, settings: Settings, stream: str) -> None:
        self._log = CutoverLog(settings)
        self._stream = stream
        self._next_look = 0.0
        self.route = Route(stream)

    @property
    def version(self) -> int:
        """What of the cutover topic `route` rests on."""
        return self._log.version

    def open(self) -> None:
        """Read what is there. Raises TransportError, SchemaMismatch."""
        self._log.refresh()
        self.route = self._log.route(self._stream)

    def close(self) -> None:
        """Drop the connection."""
        self._log.close()

    def has_changed(self, *, fetched: bool) -> bool:
        """Whether the route is another one than before this call. To be called when a fetch has come back.

        Looks at once if alerts were `fetched`, now and then if not. Raises TransportError, SchemaMismatch.
        """
        now = time.monotonic()
        if not fetched and now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        before, self.route = self.route, self._log.route(self._stream) if self._log.refresh() else self.route
        return self.route != before

    def enter(self, partition: Partition, metadata: str | None) -> None:
        """Put the route on a partition, and that under which the commit with this metadata was made."""
        found = _METADATA.fullmatch(metadata or "")
        version = self.version if found is None else int(found.group(1))
        partition.route, partition.target = self.route, self.version
        partition.before, partition.version, partition.told = self._log.route(self._stream, version), version, version
