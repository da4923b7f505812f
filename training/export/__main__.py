"""`python -m training.export` is `vigilia train export`."""

from __future__ import annotations

import sys

from streams.cli import main
from training.export.command import command

if __name__ == "__main__":
    sys.exit(main(None, command, "python -m training.export"))
