"""Out of domain: patients' posts (PsyTAR), and clinical notes in which nobody annotated adverse events.

Both are judged by the artefact's own calibration and thresholds, fitted on abstracts: what a user gets. PHEE is another
team's reading of case reports, 88% of them ADE-Corpus's; its sentences of the development fold are judged as that is.

Notes (MTS-Dialog sections, ACI-Bench notes) have no labels, so a call is a false alarm only where the sentence has no
wording that attributes harm to anything (`HARM`); calls on other sentences are counted apart and judged by nobody. The
two sources' training files may have been read, unlabelled, by a distillation: the rows "test" (validation and test
files) are those to quote. How a sentence gets its kind, first rule that fits:

- allergy: it stands in an allergy section, or it says "allerg...";
- history: it stands in a history section (past medical, surgical, family, social, gynaecological, immunisations);
  the history of the *present* illness is none;
- negation: it holds a negating word (`NEGATION`);
- other: the rest.

MTS-Dialog names each section's kind; ACI-Bench's notes are cut at their headings, lines that stand for themselves in
capitals. A sentence is what the product's splitter makes of the section, and counts once however often it occurs.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inference.artefact import Artefact
from inference.graph import Raw
from streams.assess.sentences import sentences_of
from training.data import Sentence, deduplicate, fold_of, load_phee, normal_form
from training.evaluate.development import Figures, Measured, Reader, pairs_above, sentence_figures
from training.evaluate.metrics import Resampling, auroc, average_precision, documents_of, f1s, sentence_hits
from training.export.calibrate import Calibration

HARM = re.compile(
    r"allerg|adverse|side[ -]effect|reaction|intoleran|sensitiv|toxic|overdos|anaphyla|induced|caus(?:e|ed|es|ing)\b"
    r"|due to|secondary to|because of|after (?:taking|starting)|since (?:taking|starting)|tolerat|withdrawal|complicat",
    re.IGNORECASE,
)
NEGATION = re.compile(
    r"\b(?:no|not|never|none|nor|neither|without|denie[sd]|deny|denying|negative|absent|unremarkable|cannot)\b|n't\b",
    re.IGNORECASE,
)
KINDS = ("allergy", "history", "negation", "other")
MTS_HISTORY = frozenset(
    ("PASTMEDICALHX", "PASTSURGICAL", "FAM/SOCHX", "GYNHX", "OTHER_HISTORY", "IMMUNIZATIONS")  # section_header's values
)
_HEADING = re.compile(r"^[A-Z][A-Z /&]{2,60}:?$", re.MULTILINE)


def calibration_of(artefact: Artefact) -> Calibration:
    """Calibration and thresholds as the artefact ships them."""
    manifest = artefact.manifest
    return Calibration(manifest.sentence, manifest.pair, manifest.threshold, manifest.pair_threshold)


# ---------------------------------------------------------------- patients' posts


def psytar_figures(sentences: Sequence[Sentence], raws: Sequence[Raw], calibration: Calibration) -> Figures:
    """PsyTAR's development file: positive = an adverse reaction is marked. It names no documents: each is its own."""
    platt = calibration.sentence
    probabilities = np.array([platt.probability(raw.logit) for raw in raws])
    kept = np.array([not s.withdrawal_only for s in sentences])
    labels = np.array([s.positive for s in sentences])
    either = np.array([s.positive or s.withdrawal_only for s in sentences])
    thresholds = np.full(len(labels), calibration.threshold)
    everyone = Resampling(documents_of(sentences))
    some = Resampling([s.document for s, keep in zip(sentences, kept, strict=True) if keep])
    hits = sentence_hits(probabilities, labels, thresholds)
    return {
        "PsyTAR F1": everyone.of_counts(hits, f1s),
        "PsyTAR F1, withdrawal-only left out": some.of_counts(hits[kept], f1s),
        "PsyTAR F1, withdrawal counted": everyone.of_counts(sentence_hits(probabilities, either, thresholds), f1s),
        "PsyTAR AUROC": everyone.of_ranking(probabilities, labels, auroc),
        "PsyTAR average precision": everyone.of_ranking(probabilities, labels, average_precision),
    }


# ---------------------------------------------------------------- PHEE


def load_phee_fold(data: Path, fold: int, known: Iterable[Sentence]) -> list[Sentence]:
    """PHEE's sentences of one fold's documents, without those that occur word for word among `known` (training)."""
    read = {normal_form(s.text) for s in known}
    held = [s for s in load_phee(data / "phee_v2") if fold_of(s.document) == fold and normal_form(s.text) not in read]
    return deduplicate(held)[0]


def phee_figures(measured: Measured) -> Figures:
    """Adverse events against therapeutic effects: PHEE holds no sentence without one of the two."""
    figures = sentence_figures(measured)
    return {name.replace("sentence", "PHEE").replace("AUROC", "PHEE AUROC"): value for name, value in figures.items()}


# ---------------------------------------------------------------- notes


class NoteSentence(NamedTuple):
    """A sentence of a note: which note, whether of a training file, and its kind."""

    text: str
    note: str
    trained: bool
    kind: str

    @property
    def harm(self) -> bool:
        """Whether some wording attributes harm to something: without it, a call is a false alarm."""
        return bool(HARM.search(self.text))


def kind_of(section: str, text: str) -> str:
    """The kind of a sentence of a section.

    >>> kind_of("SOCIAL HISTORY", "Smokes."), kind_of("HISTORY OF PRESENT ILLNESS", "She denies fever.")
    ('history', 'negation')
    """
    heading = section.rstrip(":").upper()
    if heading.startswith("ALLERG") or "allerg" in text.lower():
        return "allergy"
    if heading in MTS_HISTORY or (heading.endswith("HISTORY") and "PRESENT" not in heading):
        return "history"
    return "negation" if NEGATION.search(text) else "other"


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _sections(note: str) -> Iterator[tuple[str, str]]:
    """(heading, text) of each section of an ACI-Bench note; the text before the first heading has none."""
    at, heading = 0, ""
    for match in _HEADING.finditer(note):
        yield heading, note[at : match.start()]
        at, heading = match.end(), match.group()
    yield heading, note[at:]


def load_notes(data: Path) -> list[NoteSentence]:
    """The distinct sentences of both sources; one that occurs in a training file and elsewhere counts as trained."""
    found: dict[str, NoteSentence] = {}
    files = sorted((data / "notes_mts_dialog").glob("*.csv")) + sorted((data / "notes_aci_bench").glob("*.csv"))
    for path in sorted(files, key=lambda path: "train" not in path.stem.lower()):
        for number, row in enumerate(_rows(path)):
            parts = _sections(row["note"]) if "note" in row else [(row["section_header"], row["section_text"])]
            for heading, text in parts:
                for sentence in sentences_of(text):
                    trained = "train" in path.stem.lower()
                    note = NoteSentence(sentence, f"{path.stem}-{number}", trained, kind_of(heading, sentence))
                    found.setdefault(normal_form(sentence), note)
    return list(found.values())


def _per_thousand(sums: Any) -> Any:
    return 1000 * sums[:, 0] / np.maximum(sums[:, 1], 1)


def alarm_row(sentences: Sequence[NoteSentence], called: Any, paired: Any) -> dict[str, Any]:
    """Calls per 1,000 sentences, apart for sentences with and without wording of harm; intervals resample notes."""
    resampling = Resampling([s.note for s in sentences])
    harm = np.array([s.harm for s in sentences])
    row: dict[str, Any] = {"sentences": len(sentences)}
    for name, kept, flags in (
        ("false alarms", ~harm, called),
        ("false pairs", ~harm, paired),
        ("calls with words of harm", harm, called),
    ):
        row[name] = resampling.of_counts(np.column_stack([flags & kept, kept]).astype(float), _per_thousand)
        row[f"{name}, of"] = int(kept.sum())
    return row


def note_figures(notes: Sequence[NoteSentence], raws: Sequence[Raw], calibration: Calibration) -> list[dict[str, Any]]:
    """One row for each kind of sentence, of the test files and of the training files."""
    called = np.array([calibration.sentence.probability(raw.logit) >= calibration.threshold for raw in raws])
    paired = np.array([bool(pairs_above(raw, calibration)) for raw in raws])
    rows = []
    for files, trained in (("test", False), ("training", True)):
        for kind in (*KINDS, "all"):
            chosen = [i for i, s in enumerate(notes) if s.trained == trained and kind in (s.kind, "all")]
            if chosen:
                row = alarm_row([notes[i] for i in chosen], called[chosen], paired[chosen])
                rows.append({"files": files, "kind": kind} | row)
    return rows


def read_notes(data: Path, reader: Reader, calibration: Calibration, share: float = 1.0) -> list[dict[str, Any]]:
    """Read all notes, or the first `share` of them, and count."""
    notes = load_notes(data)
    notes = notes[:: max(1, round(1 / share))]
    return note_figures(notes, reader([s.text for s in notes]), calibration)
