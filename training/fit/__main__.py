"""`python -m training.fit` is `vigilia train fit`."""

from __future__ import annotations

import sys

from streams.cli import main
from training.fit.command import command

if __name__ == "__main__":
    sys.exit(main(None, command, "python -m training.fit"))
