"""Triton's and gRPC's errors in our own tree: one table.

The status alone does not tell: UNAVAILABLE is "nobody answers", "the queue is full" and "it waited too long in the
queue"; INTERNAL is "this input fails" and "the backend's process is dead". The first are told apart by Triton's words,
the last by asking something whose answer is known (`inference.triton.client`). Whoever waited too long in the queue
never got to the model: that is a server without room, not a slow one. A status that is not in the table is Unavailable:
no input is given up for it.
"""

from __future__ import annotations

import re

from tritonclient.utils import InferenceServerException

from streams.errors import (
    ClassifierError,
    ConfigurationError,
    DeadlineExceeded,
    NotServed,
    Overloaded,
    PoisonInput,
    Unavailable,
    WrongModel,
)

__all__ = ["failure_of"]

MOST_CHARACTERS = 200


_NO_ROOM = re.compile(r"exceeds maximum queue size|request timeout expired", re.IGNORECASE)
_NOT_SERVED = re.compile(r"unknown model|not (at )?ready|is not found|no available version|unloading", re.IGNORECASE)

_TABLE: dict[str, type[ClassifierError | ConfigurationError]] = {
    "UNAVAILABLE": Unavailable,
    "CANCELLED": Unavailable,
    "ABORTED": Unavailable,
    "UNKNOWN": Unavailable,
    "RESOURCE_EXHAUSTED": Overloaded,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotServed,
    "INTERNAL": PoisonInput,
    "INVALID_ARGUMENT": WrongModel,
    "OUT_OF_RANGE": WrongModel,
    "FAILED_PRECONDITION": WrongModel,
    "UNAUTHENTICATED": ConfigurationError,
    "PERMISSION_DENIED": ConfigurationError,
    "UNIMPLEMENTED": ConfigurationError,
}


def failure_of(error: InferenceServerException, where: str) -> ClassifierError | ConfigurationError:
    """Our error for one of the client's; `where` is the server's address. PoisonInput is only a suspicion."""
    status = str(error.status() or "").removeprefix("StatusCode.")
    message = str(error.message() or "")
    kind = _TABLE.get(status, Unavailable)
    if kind is Unavailable:
        if _NO_ROOM.search(message):
            kind = Overloaded
        elif _NOT_SERVED.search(message):
            kind = NotServed
    return kind(f"{where}: {status or 'no status'}: {' '.join(message.split())[:MOST_CHARACTERS]}")
