from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from streams.errors import ConfigurationError
from streams.state.server import RedisServer


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running(pid)


def test_it_serves_on_a_socket_of_its_own_and_leaves_nothing_behind() -> None:
    with RedisServer() as server:
        folder = Path(server.url.removeprefix("unix://")).parent
        assert folder.stat().st_mode & 0o077 == 0
        client = redis.Redis.from_url(server.url)
        assert client.ping()
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.close()
        pid = server.pid
    assert gone(pid)
    assert not folder.exists()
    with pytest.raises(ConfigurationError, match="not running"):
        _ = server.url


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel ends it on Linux only")
def test_it_ends_with_the_process_that_started_it_even_if_that_is_killed() -> None:
    program = (
        "import sys, time; from streams.state.server import RedisServer; "
        "print(RedisServer().start().pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path.cwd()) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running(pid)
        os.kill(parent.pid, signal.SIGKILL)
    assert gone(pid)
