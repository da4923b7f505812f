"""`python -m training.evaluate` is `vigilia train evaluate`."""

from __future__ import annotations

import sys

from streams.cli import main
from training.evaluate.commands import command

if __name__ == "__main__":
    sys.exit(main(None, command, "python -m training.evaluate"))
