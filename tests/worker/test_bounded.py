"""Workers that a bounded run starts: they do not outlive it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
PARENT = """
import multiprocessing, threading, time
from streams.worker.bounded import _end_with_parent

def child():
    threading.Thread(target=_end_with_parent, daemon=True).start()
    time.sleep(60)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=child, daemon=True)
    process.start()
    print(process.pid, flush=True)
    time.sleep(60)
"""


def test_a_worker_ends_when_the_command_that_started_it_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)], env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(1)
        parent.kill()
        assert worker.wait(20) != 0 or not worker.is_running()
