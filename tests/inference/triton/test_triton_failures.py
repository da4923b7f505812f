"""Errors of Triton and gRPC in our tree. The messages are those that tritonserver 2.51 sent."""

from __future__ import annotations

import grpc
import pytest
from tritonclient.utils import InferenceServerException

from inference.triton.failures import failure_of
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

SAID = [
    ("UNAVAILABLE", "failed to connect to all addresses; last error: UNKNOWN: Connection refused", Unavailable),
    ("UNAVAILABLE", "Socket closed", Unavailable),
    ("UNAVAILABLE", "[request id: <id_unknown>] Exceeds maximum queue size", Overloaded),
    ("UNAVAILABLE", "Request timeout expired", Overloaded),
    ("UNAVAILABLE", "Request for unknown model: 'adverse_event' version 1 is not at ready state", NotServed),
    ("NOT_FOUND", "Request for unknown model: 'adverse_event' is not found", NotServed),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceeded),
    ("INTERNAL", "onnx runtime error 2: Non-zero status code returned while running Gather node", PoisonInput),
    ("INVALID_ARGUMENT", "[request id: <id_unknown>] inference request batch-size must be <= 8", WrongModel),
    ("UNIMPLEMENTED", "unknown service inference.GRPCInferenceService", ConfigurationError),
]


@pytest.mark.parametrize(("status", "message", "kind"), SAID)
def test_the_status_and_where_it_does_not_tell_the_message_decide(
    status: str, message: str, kind: type[Exception]
) -> None:
    found = failure_of(InferenceServerException(message, f"StatusCode.{status}"), "grpc://triton:8001")
    assert type(found) is kind
    assert "grpc://triton:8001" in str(found)


@pytest.mark.parametrize("status", [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_no_status_but_internal_makes_anybody_give_up_an_input(status: str) -> None:
    found = failure_of(InferenceServerException("some words", f"StatusCode.{status}"), "x")
    assert isinstance(found, ClassifierError | ConfigurationError)
    assert isinstance(found, PoisonInput) == (status == "INTERNAL")


def test_an_error_without_a_status_is_waited_for() -> None:
    assert type(failure_of(InferenceServerException("no words", None), "x")) is Unavailable


def test_a_long_message_is_cut() -> None:
    assert len(str(failure_of(InferenceServerException("x" * 5000, "StatusCode.UNKNOWN"), "here"))) < 300
