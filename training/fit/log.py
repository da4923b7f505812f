"""Progress for a person (a bar on a terminal, lines elsewhere), for a program (fit.jsonl) and for TensorBoard."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

STEPS_A_RECORD = 50


class Log:
    """One record an event. Nothing but numbers and names of stages goes in: never a sentence."""

    def __init__(self, folder: Path | None, quiet: bool = False, append: bool = False, board: bool = True) -> None:
        self._file = (folder / "fit.jsonl").open("a" if append else "w", encoding="utf-8") if folder else None
        self._board = _writer(folder / "tensorboard") if folder and board else None
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._start = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, event: str, **values: float | int | str) -> None:
        """Write one record."""
        record = {"event": event, "seconds": round(time.monotonic() - self._start, 1), **values}
        if self._file:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        if self._bar is None and not self._quiet:
            line = "  ".join(f"{key}={value}" for key, value in record.items())
            print(line, file=sys.stderr, flush=True)

    def start(self, title: str, steps: int, done: int = 0) -> None:
        """Begin a stretch of steps: a bar where a person looks."""
        if not self._quiet and self._console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=self._console)
            self._bar.start()
            self._task = self._bar.add_task(title, total=steps, completed=done, note="")

    def step(self, stage: str, epoch: int, step: int, steps: int, losses: list[float], rate: float) -> None:
        """One step was made; every 50th is recorded with the mean loss since the last record."""
        recent = losses[-STEPS_A_RECORD:]
        mean = sum(recent) / len(recent)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, note=f"loss {mean:.3f}")
        if step % STEPS_A_RECORD == 0 or step == steps:
            self("step", stage=stage, epoch=epoch, step=step, steps=steps, loss=round(mean, 4))
            self.scalars(len(losses), loss=mean, rate=rate)

    def scalars(self, step: int, **values: float) -> None:
        """Curves for TensorBoard, over the steps of the whole fit."""
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def stop(self) -> None:
        """End a stretch of steps."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def close(self) -> None:
        """Close the files."""
        self.stop()
        if self._file:
            self._file.close()
        if self._board:
            self._board.close()


def _writer(folder: Path) -> Any:
    """TensorBoard's log: written by tensorboardX, which needs neither TensorFlow nor TensorBoard itself."""
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder))
