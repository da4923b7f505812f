"""Sections of the pages under docs/results that a command writes again, and what each figure must say of its origin."""

from __future__ import annotations

import subprocess

import psutil

from bench.rig import ROOT

RESULTS = ROOT / "docs" / "results"


def write_section(page: str, command: str, title: str, text: str) -> None:
    """Put `text` under `title` into a page, in place of what `command` wrote before; at its end the first time."""
    path = RESULTS / page
    old = path.read_text() if path.exists() else ""
    start, end = f"<!-- {command} -->\n", f"<!-- end of {command} -->\n"
    section = f"{start}{title}\n\n```console\n{command}\n```\n\n{text.rstrip()}\n{end}"
    before, found, rest = old.partition(start)
    if found:
        after = rest.partition(end)[2]
        path.write_text(f"{before}{section}{after}")
    else:
        path.write_text(f"{old.rstrip()}\n\n{section}".lstrip())


def machine() -> str:
    """Cores and memory."""
    return f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"


def commit() -> str:
    """Short hash of the checkout."""
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"
