"""Real notes through the classifier: `python -m bench.notes` (`make notes`).

1. The development documents of ADE-Corpus-V2, their sentences put back together into one note a PubMed id: the
   drug-event pairs read from each note against the corpus's own relations, both as normalised terms.
2. MTS-Dialog sections and ACI-Bench notes: what they raise. Nobody annotated adverse events in them, so "without an
   adverse event" has to be defined, and is: no wording by which a clinician says that a drug did harm (`HARM`). Every
   pair raised by such a note counts as a false alarm; what the others raise is listed apart and judged by nobody.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inference.artefact import load_artefact
from inference.classifier import Classifier
from inference.onnx import OnnxClassifier
from streams.assess.sentences import sentences_of
from streams.assess.terms import VOCABULARY_VERSION, drug_term, event_term
from streams.assess.text import TextReading, text_reading
from training.card import commit, machine
from training.data import Sentence, load_ade, split_ade
from training.metrics import f1_interval, set_hits

HARM = re.compile(
    r"allerg|adverse|side[ -]effect|reaction|intoleran|sensitiv|toxic|overdos|anaphyla|induced|caus(?:e|ed|es|ing)\b"
    r"|due to|secondary to|because of|after (?:taking|starting)|since (?:taking|starting)|tolerat|withdrawal|complicat",
    re.IGNORECASE,
)

Pair = tuple[str, str]


class Note(NamedTuple):
    """A note, which corpus it is of, and its section or kind."""

    name: str
    kind: str
    text: str


def read_note(classifier: Classifier, text: str, threshold: float) -> tuple[TextReading, int]:
    """What a note asserts, and its number of sentences."""
    sentences = sentences_of(text)
    return text_reading(classifier.classify(sentences), threshold), len(sentences)


def pairs_of(reading: TextReading) -> set[Pair]:
    return {(reading.drugs[pair.drug], reading.events[pair.event]) for pair in reading.pairs}


# ---------------------------------------------------------------- abstracts put back together


def gold_pairs(sentences: Iterable[Sentence]) -> set[Pair]:
    """The corpus's relations of a document as normalised terms."""
    found = set()
    for s in sentences:
        for d, e in s.pairs:
            drug, event = drug_term(s.text[slice(*s.drugs[d])]), event_term(s.text[slice(*s.effects[e])])
            if drug is not None and event is not None:
                found.add((drug, event))
    return found


def overlapping(found: set[Pair], gold: set[Pair]) -> tuple[int, int]:
    """(pairs found that match, gold pairs that are matched) when one event's words may contain the other's."""

    def alike(a: Pair, b: Pair) -> bool:
        words, others = set(a[1].split()), set(b[1].split())
        return a[0] == b[0] and (words <= others or others <= words)

    return sum(any(alike(f, g) for g in gold) for f in found), sum(any(alike(f, g) for f in found) for g in gold)


def abstracts(classifier: Classifier, data: Path, fold: int, threshold: float) -> list[str]:
    """Rows of the first table."""
    documents: dict[str, list[Sentence]] = {}
    for sentence in split_ade(load_ade(data / "ade_corpus_v2"), fold).development:
        documents.setdefault(sentence.document, []).append(sentence)
    hits, near, cases, started = [], [0, 0], 0, time.perf_counter()
    for sentences in documents.values():
        reading, _ = read_note(classifier, " ".join(s.text for s in sentences), threshold)
        found, gold = pairs_of(reading), gold_pairs(sentences)
        hits.append(set_hits(found, gold))
        matched = overlapping(found, gold)
        near = [near[0] + matched[0], near[1] + matched[1]]
        cases += bool(found)
    seconds = time.perf_counter() - started
    true, false, missed = (int(n) for n in np.array(hits).sum(axis=0))
    f1 = f1_interval(list(documents), np.array(hits))
    return [
        f"{len(documents)} notes, {true + missed} gold pairs, {true + false} pairs counted from text in {cases} notes"
        f" ({seconds:.0f} s).",
        "",
        "| match of the two terms | precision | recall | F1 |",
        "|---|---|---|---|",
        f"| equal | {true / (true + false):.3f} | {true / (true + missed):.3f} |"
        f" {f1.value:.3f} [{f1.low:.3f}, {f1.high:.3f}] |",
        f"| drug equal, one event's words within the other's | {near[0] / (true + false):.3f} |"
        f" {near[1] / (true + missed):.3f} | |",
    ]


# ---------------------------------------------------------------- notes nobody annotated


def clinical_notes(data: Path) -> list[Note]:
    """Sections of MTS-Dialog and notes of ACI-Bench, each text once."""
    notes: dict[str, Note] = {}
    sources = [("notes_mts_dialog", "section_text", "section_header"), ("notes_aci_bench", "note", "dataset")]
    for folder, column, kind in sources:
        for path in sorted((data / folder).glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    notes.setdefault(row[column], Note(folder.removeprefix("notes_"), row[kind], row[column]))
    return list(notes.values())


def alarms(classifier: Classifier, notes: Sequence[Note], threshold: float) -> list[str]:
    """Rows of the second table, and the lists of what was raised."""
    rows: Counter[tuple[str, str]] = Counter()
    raised: dict[bool, Counter[Pair]] = {True: Counter(), False: Counter()}
    for note in notes:
        harm = bool(HARM.search(note.text))
        reading, sentences = read_note(classifier, note.text, threshold)
        found = pairs_of(reading)
        for key in (f"{note.name}, {'with' if harm else 'without'} words of harm", "all"):
            rows.update({(key, "notes"): 1, (key, "sentences"): sentences})
            rows.update({(key, "raising"): bool(found), (key, "pairs"): len(found)})
        raised[harm].update(found)
    lines = [
        "| | notes | sentences | notes that raise a pair | pairs | raising, per 1,000 notes | pairs per 1,000 notes |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in sorted({name for name, _ in rows}, key=lambda name: (name == "all", name)):
        n, pairs, raising = rows[key, "notes"], rows[key, "pairs"], rows[key, "raising"]
        lines.append(
            f"| {key} | {n} | {rows[key, 'sentences']} | {raising} | {pairs} | {1000 * raising / n:.0f} |"
            f" {1000 * pairs / n:.0f} |"
        )
    for harm, title in ((False, "Raised without words of harm (all false alarms)"), (True, "Raised by the others")):
        lines += ["", f"### {title}", "", listed(raised[harm])]
    return lines


def listed(pairs: Counter[Pair]) -> str:
    """Pairs in alphabetical order, with their number of notes where it is not one."""
    names = [f"{drug} → {event}" + (f" ({n})" if n > 1 else "") for (drug, event), n in sorted(pairs.items())]
    return "; ".join(names) + "." if names else "Nothing."


def report(data: Path, threshold: float, threads: int) -> str:
    """The whole page."""
    artefact = load_artefact()
    classifier = OnnxClassifier(artefact, threads=threads)
    fold = int(artefact.manifest.trained["development_fold"])
    print("abstracts ...", file=sys.stderr)
    first = abstracts(classifier, data, fold, threshold)
    print("clinical notes ...", file=sys.stderr)
    second = alarms(classifier, clinical_notes(data), threshold)
    classifier.close()
    head = [
        "# Real notes",
        "",
        f"`make notes` = `python -m bench.notes`, {datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {machine()}.",
        f"Model `{artefact.model}`, terms `{VOCABULARY_VERSION}`, pairs with probability >= {threshold:g} (the default"
        " `text_threshold`).",
        "",
        "## Abstracts put back together",
        "",
        f"The sentences of each development PubMed id of ADE-Corpus-V2 (fold {fold}) joined into one note, cut again by"
        " `streams.assess.sentences`, read, and compared with the corpus's relations as normalised terms. The threshold"
        " was not fitted to this; the calibration saw the fold's sentences.",
        "",
    ]
    middle = [
        "",
        "## Clinical notes: false alarms",
        "",
        "MTS-Dialog (all sections) and ACI-Bench (all notes), each text once. Nobody annotated adverse events in them."
        " *Without* is defined by wording: a note in which no phrase attributes harm to a drug (allergy, adverse, side"
        " effect, reaction, intolerance, toxic, induced, caused by, due to, secondary to, tolerate, ...: `HARM` in"
        " `bench/notes.py`). What such a note raises is counted as a false alarm. A note *with* such words may or may"
        " not hold an adverse event; nobody judged which, so its rate is what it is and no rate of errors.",
        "",
    ]
    return "\n".join([*head, *first, *middle, *second, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m bench.notes", description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--threshold", type=float, default=0.5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--out", type=Path, default=Path("docs/results/notes.md"))
    given = options.parse_args(arguments)
    page = report(given.data, given.threshold, given.threads)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
