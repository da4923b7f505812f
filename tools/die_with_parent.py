"""python die_with_parent.py COMMAND...: become the command, and end when the process that started this one ends.

Run by its path, so that it works in any folder and any environment; so it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        # Kept over the exec: a killed test run leaves no server behind.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606
