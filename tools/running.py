"""The command line of a server: run until Ctrl+C, start in the background, stop what was started there."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tools.processes import Missing, ServerProcess


def make_parser(program: str, description: str | None, others: Iterable[str]) -> argparse.ArgumentParser:
    """A parser of run, start, stop and the server's `others`, with --port."""
    parser = argparse.ArgumentParser(
        program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "start", "stop", *others])
    parser.add_argument("--port", type=int, default=0)
    return parser


def obey(
    command: str,
    kind: type[ServerProcess],
    make: Callable[..., ServerProcess],
    others: Mapping[str, Callable[[], Path]],
) -> int:
    """Carry out a command; the exit status. `make` takes `outlive_parent`; of `others` the path is printed."""
    try:
        if command == "run":
            _run(make())
        elif command == "start":
            _start(kind, make)
        elif command == "stop":
            _stop(kind)
        else:
            _say(str(others[command]()))
    except (Missing, RuntimeError) as error:
        sys.stderr.write(f"{kind.name}: {error}\n")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(server: ServerProcess) -> None:
    with server:
        _say(server.address)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _state(kind: type[ServerProcess]) -> Path:
    """The file that says which server runs in the background."""
    return kind.cache / "running.json"


def _start(kind: type[ServerProcess], make: Callable[..., ServerProcess]) -> None:
    state = _state(kind)
    if state.exists():
        known = json.loads(state.read_text("utf-8"))
        if _is_ours(kind, known["pid"]):
            _say(known["address"])
            return
    state.parent.mkdir(parents=True, exist_ok=True)
    server = make(outlive_parent=True).start()
    known = {"pid": server.pid, "address": server.address, "folder": str(server.folder)}
    state.write_text(json.dumps(known), "utf-8")
    _say(server.address)


def _stop(kind: type[ServerProcess]) -> None:
    state = _state(kind)
    if not state.exists():
        return
    known = json.loads(state.read_text("utf-8"))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(100):
            if not _is_ours(kind, known["pid"]):
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(known["pid"], number)
            time.sleep(0.1)
    kind.delete_leftovers(Path(known["folder"]))
    shutil.rmtree(known["folder"], ignore_errors=True)
    state.unlink()


def _is_ours(kind: type[ServerProcess], pid: int) -> bool:
    """Whether a process id still is such a server: ids are used again."""
    try:
        return kind.mark in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
