"""A server in a process of its own, with a folder of its own: what Kafka and Triton have in common here."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
READY_SECONDS = 60
LOG_END = 1500  # characters of a log that go into a message


class Missing(Exception):
    """What the server needs can't be had: a program, jars, an environment. The message says which and why."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


class ServerProcess(ABC):
    """A server on 127.0.0.1, with its files in a temporary folder. A context manager.

    `stop()` and `kill()` keep files and ports, so `start()` brings it back at the same address; `close()` deletes the
    files. Without a port a free one is taken. Unless it may outlive its parent, the kernel (of Linux) ends it when the
    *thread* that started it ends.
    """

    name: ClassVar[str]
    """What messages call it."""
    mark: ClassVar[bytes]
    """What the command line of every such process has in it."""
    cache: ClassVar[Path]
    """Folder of what is fetched or made once."""

    def __init__(self, port: int, more_ports: int, outlive_parent: bool) -> None:
        # Drawn at once: a port that is let go may be drawn again.
        drawn, *self._more_ports = free_ports(1 + more_ports)
        self.port = port or drawn
        self._outlive_parent = outlive_parent
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients connect: host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    @property
    def folder(self) -> Path:
        """Where its files and its log lie."""
        assert self._folder is not None
        return self._folder

    @property
    def running(self) -> bool:
        """Whether there is a server process."""
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def start(self) -> Self:
        """Start and wait until it is ready. Raises Missing, or RuntimeError with the end of the server's log."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers as one that can be used."""

    @classmethod
    def leftovers(cls, folder: Path) -> Iterable[Path]:
        """Files that a killed server with this folder leaves outside of it: none, unless overridden."""
        del folder
        return ()

    @classmethod
    def delete_leftovers(cls, folder: Path) -> None:
        """Delete what a killed server with this folder can't delete any more."""
        for path in cls.leftovers(folder):
            path.unlink(missing_ok=True)

    def _make_folder(self) -> bool:
        """Make the folder if there is none yet; whether it did."""
        if self._folder is not None:
            return False
        self._folder = Path(tempfile.mkdtemp(prefix=f"vigilia-{self.name.lower()}-"))
        return True

    def _spawn(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        """Start the process, in a session of its own: signals to its group reach its children and nobody else."""
        if not self._outlive_parent:
            command = [sys.executable, "-IS", str(HERE / "die_with_parent.py"), *command]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=env
            )

    def await_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it is ready. Raises RuntimeError with the end of the server's log; after `seconds` kills it."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                status = self._process.returncode
                raise RuntimeError(f"{self.name} ended with status {status}: {self.log()[-LOG_END:]}")
            if self.is_ready():
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"{self.name} was not ready on {self.address} within {seconds} s: {self.log()[-LOG_END:]}")

    def log(self) -> str:
        """All that the server has said."""
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def stop(self, seconds: float = 15) -> None:
        """End it in good order; kill it after `seconds`."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            self.kill()

    def kill(self) -> None:
        """kill -9, its children too."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self.delete_leftovers(self.folder)

    def restart(self) -> None:
        """kill -9, then start at the same address."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: it stays connected and answers nothing."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill it and delete its folder: the files are worth nothing without it."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
