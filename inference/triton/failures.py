"""Triton's and gRPC's errors in our own tree: one table.

The status alone does not tell: UNAVAILABLE is "nobody answers", "the queue is full" and "it waited too long in the
queue"; INTERNAL is "this input fails" and "the backend's process is dead". The first three are told apart by Triton's
words (core: `dynamic_batch_scheduler.cc`, `infer_request.cc`), the last two by asking something whose answer is known
(`inference.triton.client`). A status that is not in the table is Unavailable: no input is given up for it.
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


_QUEUE_FULL = re.compile(r"exceeds maximum queue size|max(imum)? queue size", re.IGNORECASE)
_QUEUED_TOO_LONG = re.compile(r"request timeout expired", re.IGNORECASE)
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
        if _QUEUE_FULL.search(message):
            kind = Overloaded
        elif _QUEUED_TOO_LONG.search(message):
            kind = DeadlineExceeded
        elif _NOT_SERVED.search(message):
            kind = NotServed
    return kind(f"{where}: {status or 'no status'}: {' '.join(message.split())[:MOST_CHARACTERS]}")
