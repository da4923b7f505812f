"""Every published figure beside ours: `python -m bench.known_answers`; writes a part of docs/results/signals.md.

Takes about a minute of CPU time, most of it for the longest horizons of the sequential tests. Exit status 1 if a figure
differs by more than its print allows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.published import CHECKS, Check
from bench.published_sequential import checks
from bench.rig import ROOT
from streams.commands.output import print_table
from training.provenance import commit, machine

PAGE = ROOT / "docs" / "results" / "signals.md"
DATA = ROOT.parent / "shared" / "data"
START, END = "<!-- known answers -->", "<!-- end of known answers -->"
COLUMNS = ("check", "published by", ">values", ">agree", ">largest difference", ">of what the print allows")


def row(check: Check, data: Path) -> tuple[str, str, str, str, str, str]:
    """A line of the table."""
    values = list(check.values(data))
    agree = sum(value.agrees for value in values)
    share = max((value.difference / value.allowed for value in values if value.allowed > 0), default=0.0)
    largest = max(value.difference for value in values)
    return check.title, check.source, f"{len(values)}", f"{agree}", f"{largest:.1e}", f"{share:.2f}"


def section(rows: Sequence[tuple[str, ...]]) -> str:
    """The part of the page between its marks."""
    heads = "| " + " | ".join(column.removeprefix(">") for column in COLUMNS) + " |"
    rule = "|" + "|".join("---:" if column.startswith(">") else "---" for column in COLUMNS) + "|"
    lines = [heads, rule, *("| " + " | ".join(cells) + " |" for cells in rows)]
    total, agreeing = (sum(int(cells[i]) for cells in rows) for i in (2, 3))
    about = f"`python -m bench.known_answers`, {datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {machine()}."
    return f"{START}\n{about} {agreeing:,} of {total:,} values agree.\n\n" + "\n".join(lines) + f"\n{END}"


def main() -> None:
    rows = [row(check, DATA) for check in (*CHECKS, *checks())]
    print_table(COLUMNS, rows, title="Published figures and ours")
    page = PAGE.read_text()
    before, rest = page.split(START)
    PAGE.write_text(before + section(rows) + rest.split(END)[1])
    sys.exit(any(cells[2] != cells[3] for cells in rows))


if __name__ == "__main__":
    main()
