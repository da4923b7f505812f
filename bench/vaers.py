"""VAERS 1990-2000 as the rules see it: counted cases of each day, from the public yearly files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rig import ROOT
from streams.budget.reading import assessed, fill
from streams.budget.spool import Spool
from streams.commands.files import messages
from streams.monitors import load_monitor

FOLDER = ROOT.parent / "shared" / "data" / "vaers_1990_2006"
MONITOR = load_monitor("vaers")
WINDOW = (date(1998, 10, 1), date(1999, 7, 16))  # the vaccine's licence to its suspension
PAIR = ("RV", "Intussusception")


@contextmanager
def spooled(last: int = 2000) -> Iterator[Path]:
    """A spool of the counted cases of 1990 to `last`, in a folder that goes away."""
    with TemporaryDirectory(prefix="vigilia-") as folder:
        path = Path(folder) / "vaers.sqlite"
        with closing(Spool(path)) as spool:
            reports = messages("vaers", (str(FOLDER),), datetime(1990, 1, 1), datetime(last, 12, 31), Counter())
            fill(spool, assessed(reports, MONITOR), MONITOR)
        yield path


def day(bucket: int) -> date:
    """The day of a bucket."""
    return date(1970, 1, 1) + timedelta(days=bucket)
