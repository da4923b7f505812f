"""One long-lived client of one Triton server: our batches in, the graph's outputs or our errors out.

One client as long as anything comes back on its connection: pools of clients leaked memory in tritonclient's history.
gRPC reconnects by itself, and is told to do so within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from inference.graph import INPUTS, OUTPUTS, Batch, Outputs
from inference.triton.failures import failure_of
from streams.errors import ConfigurationError, PoisonInput, Unavailable, WrongModel

__all__ = ["Address", "Connection", "Question", "Tls", "address_of"]

SECURE, PLAIN = "grpcs", "grpc"
MICROSECONDS = 1_000_000
Answer = TypeVar("Answer")


class Address(NamedTuple):
    """host:port, and whether it speaks TLS."""

    host: str
    secure: bool

    def __str__(self) -> str:
        return f"{SECURE if self.secure else PLAIN}://{self.host}"


class Tls(NamedTuple):
    """PEM files: the CA of the servers (None: the system's), and our certificate and key if they want one."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def address_of(url: str) -> Address:
    """Read `host:port`, `grpc://host:port` or `grpcs://host:port`. Raises ConfigurationError.

    >>> address_of("grpcs://triton-1:8001")
    Address(host='triton-1:8001', secure=True)
    """
    scheme, separator, rest = url.strip().partition("://")
    scheme, host = (scheme, rest) if separator else (PLAIN, scheme)
    name, _, port = host.rpartition(":")
    if scheme not in (PLAIN, SECURE) or not name or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(
            f"not the gRPC address of a Triton server: {url!r}; write host:port, usually port 8001"
        )
    return Address(host, scheme == SECURE)


class Question:
    """A batch as the protocol wants it. Made in the caller's thread, sent from the loop's."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.rows, self.pieces = len(batch.ids), batch.ids.size
        self.inputs = []
        for name, array in zip(INPUTS, (batch.ids, batch.mask), strict=True):
            tensor = InferInput(name, list(array.shape), "INT64")
            tensor.set_data_from_numpy(array)
            self.inputs.append(tensor)

    def alone(self, row: int, rows: int) -> Question:
        """One row of it, `rows` times: as many as a batch may hold, so that the server adds nobody else's."""
        ids, mask = (np.repeat(array[row : row + 1], rows, axis=0) for array in (self.batch.ids, self.batch.mask))
        return Question(Batch(ids, mask, single=True))


class Connection:
    """The client of one server. For one event loop; made on it."""

    def __init__(self, address: Address, model: str, tls: Tls) -> None:
        self.where = str(address)
        self._address, self._model, self._tls = address, model, tls
        self._outputs = [InferRequestedOutput(name) for name in OUTPUTS]
        self._client = self._connected()

    def _connected(self) -> InferenceServerClient:
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.use_local_subchannel_pool", 1),  # a renewed client must not get the old one's connection
        ]
        try:
            return InferenceServerClient(
                self._address.host,
                ssl=self._address.secure,
                root_certificates=_path(self._tls.ca),
                private_key=_path(self._tls.key),
                certificate_chain=_path(self._tls.certificate),
                channel_args=options,
            )
        except OSError as error:
            raise ConfigurationError(f"TLS of {self.where}: {error.filename}: {error.strerror}") from error

    async def renew(self) -> None:
        """Take a new client; calls under way raise Unavailable. Raises ConfigurationError.

        For a connection on which nothing comes back. Its other end may be gone without a word, and to TCP and gRPC it
        looks well for a quarter of an hour, though a server may answer at that address again.
        """
        old, self._client = self._client, self._connected()
        await old.close()

    async def infer(self, question: Question, version: str, seconds: float) -> Outputs:
        """The graph's outputs. `seconds` bind client and server alike: nothing is computed that nobody waits for.

        Raises a ClassifierError; PoisonInput says no more than that the server failed in itself.
        """
        timeout = max(1, int(seconds * MICROSECONDS))
        asked = self._client.infer(
            self._model, question.inputs, version, self._outputs, timeout=timeout, client_timeout=seconds
        )
        return self._outputs_of(await self._ours(asked), question)

    async def described(self, version: str, seconds: float) -> tuple[Any, Any]:
        """The model's ModelMetadata and ModelConfig; of any version for "". Raises as `infer`."""
        metadata = await self._ours(self._client.get_model_metadata(self._model, version, client_timeout=seconds))
        answer = await self._ours(self._client.get_model_config(self._model, version, client_timeout=seconds))
        return metadata, answer.config

    async def states(self, seconds: float) -> dict[int, tuple[str, str]]:
        """Of each version that the server knows: its state in Triton's word (`READY`), and why. Raises as `infer`."""
        index = await self._ours(self._client.get_model_repository_index(client_timeout=seconds))
        return {int(m.version): (m.state, m.reason) for m in index.models if m.name == self._model and m.version}

    async def load(self, seconds: float) -> None:
        """Have the model's configuration and the versions it names loaded; returns when they are.

        Raises WrongModel if the server can't, ConfigurationError if it may not, Unavailable or DeadlineExceeded.
        """
        try:
            await self._client.load_model(self._model, client_timeout=seconds)
        except InferenceServerException as error:
            found = failure_of(error, self.where)
            if "not allowed" in str(error.message()):
                raise ConfigurationError(
                    f"{self.where}: start tritonserver with --model-control-mode=explicit --load-model=*"
                ) from None
            raise (WrongModel(str(found)) if isinstance(found, PoisonInput) else found) from None

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def _ours(self, call: Awaitable[Answer]) -> Answer:
        try:
            return await call
        except InferenceServerException as error:
            raise failure_of(error, self.where) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Unavailable(f"{self.where}: the connection was given up") from None

    def _outputs_of(self, result: Any, question: Question) -> Outputs:
        rows, length = question.batch.ids.shape
        shapes = ((rows, 1), (rows, length, 3), (rows, length, 3), (rows, length, length))
        found = []
        for name, shape in zip(OUTPUTS, shapes, strict=True):
            array = result.as_numpy(name)
            if array is None or array.shape != shape or array.dtype != np.float32:
                got = "nothing" if array is None else f"{array.dtype} {array.shape}"
                raise WrongModel(f"{self.where}: output {name} is {got}, not float32 {shape}")
            found.append(array)
        return Outputs(*found)


def _path(file: Path | None) -> str | None:
    return None if file is None else str(file)
