"""RotaShield with the codes hidden: `python -m bench.text_alone`.

VAERS of 1996 to 1999 is replayed twice by the command itself, on a real Kafka: once with coded events, once with
evidence `narrative`, where a report's products are known and its events are only what the classifier reads in
SYMPTOM_TEXT. Everything else is as shipped. The coded cases of the pair are then looked at one by one: what did their
narratives say, and what was read?
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bench.rig import rig
from inference.artefact import load_artefact
from inference.onnx import OnnxClassifier
from streams.assess.sentences import sentence_ranges
from streams.assess.text import text_reading
from streams.events import AdverseEvent, Alert, decode_alert
from streams.intake.vaers import read_vaers
from streams.monitors import TextSettings
from training.provenance import commit, machine

FIRST, LAST = date(1996, 1, 1), date(1999, 12, 31)
WINDOW = (date(1998, 10, 1), date(1999, 7, 16))  # licence to suspension
DRUG, WORD = "rv", "intussuscept"
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Replayed:
    """What a replay said of itself, its alerts, and how long it took in all."""

    summary: dict[str, object]
    alerts: list[Alert]
    seconds: float

    def of_the_pair(self) -> list[Alert]:
        """Alerts of the rotavirus vaccine with anything that is called intussusception, in order."""
        return [a for a in self.alerts if a.drug.casefold() == DRUG and WORD in a.event.casefold()]

    def new_in_window(self) -> list[Alert]:
        """New pairs between licence and suspension."""
        return [a for a in self.alerts if a.status == "new" and WINDOW[0] <= day_of(a) <= WINDOW[1]]


@dataclass(frozen=True)
class Told:
    """One coded case of the pair: whether its narrative holds the word, and the events that were read in it."""

    received: date
    named: bool
    events: tuple[str, ...]

    @property
    def read(self) -> bool:
        """Whether some event that was read is the coded one."""
        return any(WORD in event for event in self.events)


def day_of(alert: Alert) -> date:
    """The day of an alert's bucket."""
    return EPOCH + timedelta(days=alert.bucket)


def replayed(kafka: str, folder: Path, out: Path, evidence: str) -> Replayed:
    """A replay by the command. Raises SystemExit with what it said if it fails."""
    days = ("--from", FIRST.isoformat(), "--to", LAST.isoformat())
    command = [sys.executable, "-m", "streams", "replay", "vaers", str(folder), *days, "--evidence", evidence]
    env = {**os.environ, "VIGILIA_BOOTSTRAP_SERVERS": kafka, "VIGILIA_CLASSIFIER_THREADS": "2"}
    begun = time.monotonic()
    run = subprocess.run([*command, "--out", str(out), "--json"], env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr[-3000:])
    alerts = [decode_alert(line) for line in out.read_bytes().splitlines()]
    return Replayed(json.loads(run.stdout), alerts, time.monotonic() - begun)


def coded_cases(folder: Path) -> list[Told]:
    """The coded cases of the pair, each with what the classifier reads in its narrative."""
    classifier = OnnxClassifier(load_artefact(), threads=2)
    found = []
    for report in read_vaers([folder], FIRST, LAST):
        if not isinstance(report, AdverseEvent) or not isinstance(report.received_at, int):
            continue
        if any(p.name.casefold() == DRUG for p in report.products) and "Intussusception" in report.events:
            text = report.narrative or ""
            ranges = sentence_ranges(text)
            readings = classifier.classify([text[start:end] for start, end in ranges])
            events = text_reading(ranges, readings, TextSettings(), [DRUG]).events
            received = EPOCH + timedelta(milliseconds=report.received_at)
            found.append(Told(received, WORD in text.casefold(), tuple(events)))
    classifier.close()
    return found


def row(name: str, replay: Replayed) -> str:
    """One run's line of the table."""
    pair = replay.of_the_pair()
    first = pair[0] if pair else None
    said = f"{day_of(first)} | {first.cases} | {first.level}, {first.status}, {first.event}" if first else "never | |"
    new = replay.new_in_window()
    listed = f"{len(new)} ({sum(a.drug.casefold() == DRUG for a in new)})"
    return f"| {name} | {said} | {listed} | {len(replay.alerts)} | {replay.seconds:.0f} |"


def explained(cases: Sequence[Told]) -> str:
    """Why the runs differ, as numbers."""
    before = [case for case in cases if case.received <= WINDOW[1]]
    lines = ["| coded cases of RV x Intussusception | received by 1999-07-16 | by 1999-12-31 |", "|---|---|---|"]
    for name, holds in (
        ("all", lambda _: True),
        ("the narrative holds the word", lambda case: case.named),
        ("it was read as an event", lambda case: case.read),
        ("no event at all was read", lambda case: not case.events),
    ):
        lines.append(f"| {name} | {sum(map(holds, before))} | {sum(map(holds, cases))} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both, print and write the page."""
    options = argparse.ArgumentParser(prog="python -m bench.text_alone", description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data/vaers_1990_2006"))
    options.add_argument("--out", type=Path, default=Path("docs/results/text-alone.md"))
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="vigilia-text-") as name, rig(Path(name)) as services:
        runs = {e: replayed(services.kafka, given.data, Path(name) / e, e) for e in ("coded", "narrative")}
    lines = [
        "# VAERS with the codes hidden",
        "",
        (__doc__ or "").partition("\n\n")[2].strip(),
        "",
        f"`python -m bench.text_alone`, {datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {machine()}, "
        f"model `{load_artefact().model}`. {runs['coded'].summary['messages']:,} reports.",
        "",
        "| events | first alert of RV x intussusception | cases | level, status, event | new pairs in the window "
        "(of RV) | alerts in all | seconds |",
        "|---|---|---|---|---|---|---|",
        *(row(evidence, run) for evidence, run in runs.items()),
        "",
        "New in the window, read in narratives: "
        + (", ".join(f"{a.drug} x {a.event} ({day_of(a)})" for a in runs["narrative"].new_in_window()) or "none")
        + ".",
        "",
        explained(coded_cases(given.data)),
        "",
    ]
    given.out.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
