"""Real notes through the stream: `python -m bench.notes` (`make notes`).

Clinical notes of three corpora go as canonical JSON onto one source topic of a real Kafka; the worker reads them with a
monitor of evidence `text`, until all is applied and closed; the pairs are then read from what it wrote, the assessments
of the cases that count by the recount of `vigilia audit`.

1. The development documents of ADE-Corpus-V2, their sentences put back together into one note a PubMed id: pairs
   counted, against the corpus's own relations as terms.
2. MTS-Dialog sections and ACI-Bench notes: what they raise. Nobody annotated adverse events in them, so "without an
   adverse event" has to be defined, and is: no wording by which a clinician says that a drug did harm (`corpora.HARM`).
   Every pair counted from such a note is a false alarm; what the others raise is listed apart and judged by nobody.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.corpora import Pair, RealNote, abstracts, overlapping, sections, visits
from bench.rig import rig
from inference.artefact import Artefact, load_artefact
from streams.assess.sentences import sentences_of
from streams.audit.recount import pair_scores
from streams.commands.audit import audit
from streams.events import ClinicalNote, decode_alert, encode
from streams.intake.loader import Outgoing
from streams.terms.plain import VOCABULARY_VERSION
from streams.worker.bounded import Progress, run_bounded
from tests.lab import DAY_MS, FIRST_DAY, Lab
from training.evaluate.metrics import Hits, Interval, bootstrap, f1_of, set_hits
from training.provenance import commit, machine

OUTCOMES = ("counted", "counted late", "duplicate", "dead letter")  # `gap` would be messages nobody read: never here
NOTES_A_DAY = 100
SEED = 11

MONITOR = """
name = "{name}"
evidence = "text"

[[sources]]
topic = "{name}-notes"
partitions = {partitions}

[alarms]
pairs = 200_000  # what is read in text has no list of terms: some hundreds of drugs, some hundreds of events
buckets_per_year = 365
burn_in_days = 0
"""


@dataclass(frozen=True)
class Streamed:
    """What came of the notes. `pairs`: by case id, of the cases that count; `alerts`: revisions that were raised."""

    sent: int
    outcomes: dict[str, int]
    pairs: dict[str, frozenset[Pair]]
    alerts: int
    seconds: float

    def of(self, note: RealNote) -> frozenset[Pair]:
        """The pairs counted from a note; none from one that does not count."""
        return self.pairs.get(note.case_id, frozenset())


def through_stream(lab: Lab, notes: Sequence[RealNote], *, threads: int = 1) -> Streamed:
    """Send the notes, run the worker to their end, and read what it wrote.

    Raises SystemExit if any message has not exactly one outcome, or if Redis is not what the log says.
    """
    sent = lab.load(messages(notes, lab.topic))
    settings = lab.settings.model_copy(update={"classifier_threads": threads, "log_level": "warning"})
    begun = time.monotonic()
    run_bounded(lab.monitor, settings, on_progress=shown)
    seconds = time.monotonic() - begun
    report, recounted = audit(settings, lab.monitor)
    accounted = sum(report.outcomes.get(name, 0) for name in OUTCOMES)
    if not report.clean or not sent == accounted == report.messages or report.waiting or report.behind:
        raise SystemExit(f"{sent} notes sent, {report.outcomes}; {report.differences[:5]}")
    pairs = {case.record.case_id: frozenset(pair_scores(case.record)) for case in recounted.counted()}
    with lab.store() as store:
        raised = [decode_alert(record) for _, records in store.history() for record in records]
    return Streamed(sent, report.outcomes, pairs, len({alert.id for alert in raised}), seconds)


def messages(notes: Sequence[RealNote], topic: str) -> Iterable[Outgoing]:
    """The notes as canonical JSON in an order of chance, a hundred a day."""
    shuffled = random.Random(SEED).sample(notes, len(notes))
    for n, note in enumerate(shuffled):
        received_at = FIRST_DAY * DAY_MS + n * DAY_MS // NOTES_A_DAY
        yield Outgoing(topic, note.case_id.encode(), encode(ClinicalNote(note.case_id, note.text, 1, received_at)))


def shown(progress: Progress) -> None:
    """A line that overwrites itself, for whoever watches a terminal."""
    if sys.stderr.isatty():
        print(f"\r{progress.applied:,} of {progress.messages:,} notes applied", end="", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- abstracts put back together


def scores(hits: Sequence[Hits]) -> tuple[Interval, Interval, Interval]:
    """Precision, recall and F1 over documents, each with the interval of resampled documents."""
    counts = np.array(hits)

    def precision(rows: NDArray[np.int64]) -> float:
        true, false, _ = rows.sum(axis=0)
        return float(true / (true + false))

    def recall(rows: NDArray[np.int64]) -> float:
        true, _, missed = rows.sum(axis=0)
        return float(true / (true + missed))

    def f1(rows: NDArray[np.int64]) -> float:
        return f1_of(rows.sum(axis=0))

    def interval(statistic: Callable[[NDArray[np.int64]], float]) -> Interval:
        documents = [str(n) for n in range(len(counts))]
        return Interval(statistic(counts), *bootstrap(documents, lambda drawn: statistic(counts[drawn])))

    return interval(precision), interval(recall), interval(f1)


def against_corpus(notes: Sequence[RealNote], streamed: Streamed) -> list[Hits]:
    """Pairs counted and the corpus's relations, note by note. A note that does not count has found nothing."""
    return [set_hits(set(streamed.of(note)), set(note.gold or ())) for note in notes]


def first_table(notes: Sequence[RealNote], streamed: Streamed) -> list[str]:
    """The page's lines on the annotated notes."""
    hits = against_corpus(notes, streamed)
    true, false, missed = (sum(column) for column in zip(*hits, strict=True))
    near = [sum(column) for column in zip(*(overlapping(streamed.of(n), n.gold or ()) for n in notes), strict=True)]
    counted = sum(note.case_id in streamed.pairs for note in notes)
    return [
        f"{len(notes)} notes, {counted} of them counted; {true + missed} pairs in the corpus, {true + false} counted"
        f" from text in {sum(bool(streamed.of(note)) for note in notes)} notes.",
        "",
        "| match of the two terms | precision | recall | F1 |",
        "|---|---|---|---|",
        "| equal | " + " | ".join(f"{x.value:.3f} [{x.low:.3f}, {x.high:.3f}]" for x in scores(hits)) + " |",
        f"| drug equal, one event's words within the other's | {near[0] / (true + false):.3f} |"
        f" {near[1] / (true + missed):.3f} | |",
    ]


# ---------------------------------------------------------------- notes nobody annotated


def second_table(notes: Sequence[RealNote], streamed: Streamed) -> list[str]:
    """The page's lines on the other notes: counted ones, each text once."""
    rows: Counter[tuple[str, str]] = Counter()
    raised: dict[bool, Counter[Pair]] = {True: Counter(), False: Counter()}
    counted = [note for note in notes if note.case_id in streamed.pairs]
    once = {note.text: note for note in reversed(counted)}
    for note in once.values():
        harm, found = note.harm, streamed.of(note)
        words = f"{'with' if harm else 'without'} words of harm"
        sentences = len(sentences_of(note.text))
        for key in (f"{note.corpus}, {words}", f"all, {words}"):
            rows.update({(key, "notes"): 1, (key, "sentences"): sentences})
            rows.update({(key, "raising"): bool(found), (key, "pairs"): len(found)})
        raised[harm].update(found)
    lines = [
        f"{len(notes)} notes, {len(counted)} of them counted. {len(counted) - len(once)} of these repeat another's text"
        ' ("None."), too short for a fingerprint: the rates take each of the'
        f" {len(once)} texts once.",
        "",
        "| | notes | sentences | notes that raise a pair | pairs | raising, per 1,000 notes | pairs per 1,000 notes |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in sorted({name for name, _ in rows}, key=lambda name: (name.startswith("all"), name)):
        n, pairs, raising = rows[key, "notes"], rows[key, "pairs"], rows[key, "raising"]
        lines.append(
            f"| {key} | {n} | {rows[key, 'sentences']} | {raising} | {pairs} | {1000 * raising / n:.1f} |"
            f" {1000 * pairs / n:.1f} |"
        )
    for harm, title in ((False, "Counted without words of harm (all false alarms)"), (True, "Counted from the others")):
        lines += ["", f"### {title}", "", listed(raised[harm])]
    return lines


def listed(pairs: Counter[Pair]) -> str:
    """Pairs in alphabetical order, with their number of notes where it is not one."""
    names = [f"{drug} → {event}" + (f" ({n})" if n > 1 else "") for (drug, event), n in sorted(pairs.items())]
    return "; ".join(names) + "." if names else "Nothing."


# ---------------------------------------------------------------- the page


PAGE = """\
# Real notes

`make notes` = `python -m bench.notes`, {date}, commit {commit}, {machine}.
Model `{model}`, terms `{terms}`, pairs with probability >= {threshold:g} (the default `threshold` of `[text]`).

## Through the stream

All notes below were sent as clinical notes (canonical JSON, in an order of chance, a hundred a day) onto one source \
topic of two partitions on a real Kafka, and read by the worker with a monitor of evidence `text`. Every pair on this \
page is read from the assessments that it wrote, of the cases that count. Which ones count is said by the recount of \
`vigilia audit`, which found no difference to Redis.

Sent {sent:,} = {outcomes}. From the worker's start to the last bucket closed: {seconds:.0f} s. The monitor raised \
{alerts} signals (no burn-in, K = {pairs:,}, else the defaults of the rule). The pairs name {drugs} drugs and {events} \
events, so that {watched:,} pairs are watched: a monitor of text needs a K for them.

## Abstracts put back together

The sentences of each development PubMed id of ADE-Corpus-V2 (fold {fold}) joined into one note; the pairs counted \
from it against the corpus's relations, both as terms. A note that does not count has found nothing. The threshold was \
not fitted to this; the calibration saw the fold's sentences. Intervals: 95%, of resampled documents.

{first}

## Clinical notes: false alarms

MTS-Dialog (all sections) and ACI-Bench (all notes). Nobody annotated adverse events in them. *Without* is defined by \
wording: a note in which no phrase attributes harm to a drug (allergy, adverse, side effect, reaction, intolerance, \
toxic, induced, caused by, due to, secondary to, tolerate, ...: `HARM` in `bench/corpora.py`). Every pair counted from \
such a note is a false alarm. A note *with* such words may or may not hold an adverse event; nobody judged which, so \
its rate is what it is and no rate of errors.

{second}
"""


def page(streamed: Streamed, lab: Lab, artefact: Artefact, first: Sequence[str], second: Sequence[str]) -> str:
    """docs/results/notes.md."""
    drugs, events = (len({pair[side] for pairs in streamed.pairs.values() for pair in pairs}) for side in (0, 1))
    return PAGE.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=commit(),
        machine=machine(),
        model=artefact.model,
        terms=VOCABULARY_VERSION,
        threshold=lab.monitor.text.threshold,
        sent=streamed.sent,
        outcomes=" + ".join(f"{streamed.outcomes.get(name, 0):,} {name}" for name in OUTCOMES),
        seconds=streamed.seconds,
        alerts=streamed.alerts,
        drugs=drugs,
        events=events,
        watched=drugs * events,
        pairs=lab.monitor.alarms.pairs,
        fold=development_fold(artefact),
        first="\n".join(first),
        second="\n".join(second),
    )


def development_fold(artefact: Artefact) -> int:
    """The fold that the model was not trained on."""
    return int(artefact.manifest.trained["development_fold"])


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m bench.notes", description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--out", type=Path, default=Path("docs/results/notes.md"))
    given = options.parse_args(arguments)
    artefact = load_artefact()
    annotated = abstracts(given.data, development_fold(artefact))
    others = [*sections(given.data), *visits(given.data)]
    with tempfile.TemporaryDirectory(prefix="vigilia-notes-") as folder, rig(Path(folder)) as services:
        lab = services.lab("notes", MONITOR)
        streamed = through_stream(lab, [*annotated, *others], threads=given.threads)
    text = page(streamed, lab, artefact, first_table(annotated, streamed), second_table(others, streamed))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
