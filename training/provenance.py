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


def command_line(arguments: Sequence[str] | None = None, program: str = "python -m training.evaluate") -> str:
    """The command as one would type it; the process's own arguments by default."""
    return " ".join([program, *map(shlex.quote, sys.argv[1:] if arguments is None else arguments)])


def stamp(command: str) -> dict[str, str]:
    """What is written beside the figures that `command` gave, now and here."""
    return {"command": command, "date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "machine": machine()}
