"""Which of several servers gets the next request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

__all__ = ["Loaded", "least_loaded"]


class Loaded(Protocol):
    """What is known of a server: whether it may be asked, the work it has now, and what it was given so far."""

    @property
    def usable(self) -> bool:
        """Whether it may be asked."""

    @property
    def in_flight(self) -> int:
        """Padded pieces that it was sent and has not answered."""

    @property
    def given(self) -> int:
        """Padded pieces that it was sent since the start."""


Server = TypeVar("Server", bound=Loaded)


def least_loaded(servers: Sequence[Server], but: Server | None = None) -> Server | None:
    """The usable server with the least work in flight; of equal ones the one that was given least, then the first.

    `but` is taken only if there is no other. None if none is usable.
    """
    usable = [server for server in servers if server.usable]
    others = [server for server in usable if server is not but]
    return min(others or usable, key=lambda server: (server.in_flight, server.given), default=None)
