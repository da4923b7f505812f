"""Where a figure comes from: command, date, commit and machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path


def machine() -> str:
    """Processor, usable cores and memory of this machine."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB"


def commit() -> str:
    """The checked-out commit, marked where tracked files differ from it; `unknown` outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def command_line(arguments: Sequence[str] | None = None, program: str | None = None) -> str:
    """The command of this process as one would type it, without the folder that its program lies in.

    With `program`, that name and the arguments (by default the process's) that follow it.

    >>> command_line(["/venv/bin/python", "-m", "training.evaluate", "--page"])
    'python -m training.evaluate --page'
    >>> command_line(["/venv/bin/vigilia-python", "/venv/bin/vigilia", "train", "evaluate"])
    'vigilia train evaluate'
    >>> command_line(["--page"], "python -m training.evaluate")
    'python -m training.evaluate --page'
    """
    if program is not None:
        return " ".join([program, *map(shlex.quote, sys.argv[1:] if arguments is None else arguments)])
    given = list(sys.orig_argv if arguments is None else arguments)
    if len(given) > 1 and not given[1].startswith("-"):
        given = [Path(given[1]).name, *given[2:]]
    else:
        given[0] = "python"
    return " ".join(map(shlex.quote, given))


def stamp(command: str) -> dict[str, str]:
    """What is written beside the figures that `command` gave, now and here."""
    return {"command": command, "date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "machine": machine()}
