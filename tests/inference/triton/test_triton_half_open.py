"""A connection whose other end is gone without a word, as after a failed router or a frozen host."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest

from streams.errors import ClassifierError
from tests.inference.triton.conftest import Connect

DEADLINE = 1.0


class Proxy:
    """Passes bytes on to a server. After `swallow` those of connections that are open get lost; new ones are well."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.partition(":")
        self._port = int(port)
        self._connections: list[list[bool]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server: asyncio.Server = self._run(asyncio.start_server(self._pass_on, "127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def swallow(self) -> None:
        for lost in self._connections:
            lost[0] = True

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = [False]
        self._connections.append(lost)
        there, back = await asyncio.open_connection(self._host, self._port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                if not lost[0]:
                    sink.write(data)
                    await sink.drain()
            if not lost[0]:
                sink.close()

        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(pump(reader, back), pump(there, writer))
        for end in (back, writer):
            end.close()


@pytest.fixture
def proxy(triton_server: Any) -> Iterator[Proxy]:
    made = Proxy(triton_server.grpc)
    yield made
    made.close()


def test_a_connection_that_swallows_everything_is_given_up_for_a_new_one(proxy: Proxy, connect: Connect) -> None:
    remote = connect(proxy.address, seconds=DEADLINE)
    expected = remote.classify(["No fever."])
    proxy.swallow()
    started, found = time.monotonic(), []
    while not found:
        try:
            found = remote.classify(["No fever."])
        except ClassifierError as error:
            if not error.retriable or time.monotonic() > started + 10 * DEADLINE:
                raise
            time.sleep(0.05)
    assert found == expected
    remote.close()
