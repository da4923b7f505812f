"""Coverage of conformal sets on text that did not calibrate them: `python -m training.trust.coverage`.

On the development fold, documents are halved at random, again and again: one half calibrates, the other is judged.
Elsewhere (PsyTAR, notes) the artefact's own calibration is judged. Every choice of an error rate is shown, none tuned.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest

from inference.artefact import load_artefact, shipped_folder
from inference.classifier import Reading
from inference.conformal import ADE, NOT, OPEN, Conformal, Conformity, Verdict, fit_conformal
from inference.onnx import OnnxClassifier
from streams.monitors import TextSettings
from training.data import Sentence, load_ade, split_ade, split_psytar
from training.evaluate.outside import NoteSentence, load_notes
from training.provenance import command_line, stamp

RATES = (0.01, 0.02, 0.05, 0.08, 0.1, 0.2)
HALVINGS = 200
HALVING_SEED = 20261122
NOTES = 2000


@dataclass(frozen=True)
class Sample:
    """Labelled sentences with the probabilities that the artefact gives them."""

    probabilities: Sequence[float]
    labels: Sequence[bool]
    documents: Sequence[str]

    def part(self, documents: set[str]) -> Sample:
        """The sentences of some documents."""
        kept = [i for i, document in enumerate(self.documents) if document in documents]
        return Sample(
            [self.probabilities[i] for i in kept], [self.labels[i] for i in kept], [self.documents[i] for i in kept]
        )

    def conformal(self) -> Conformal:
        """Sets calibrated on these sentences."""
        return fit_conformal(self.probabilities, self.labels)


class Counts(NamedTuple):
    """Sentences, those whose own label is in the set, and those left open: of ADEs and of other sentences."""

    ades: int
    ades_covered: int
    ades_open: int
    others: int
    others_covered: int
    others_open: int


def judged(conformities: Sequence[Conformity], labels: Sequence[bool], rate: float) -> Counts:
    """Coverage by label. A label is covered unless the verdict is the other one."""
    tally: dict[tuple[bool, Verdict], int] = {(a, v): 0 for a in (True, False) for v in (ADE, NOT, OPEN)}
    for conformity, label in zip(conformities, labels, strict=True):
        tally[label, conformity.verdict(rate)] += 1
    ades, others = (sum(tally[label, v] for v in (ADE, NOT, OPEN)) for label in (True, False))
    return Counts(
        ades, ades - tally[True, NOT], tally[True, OPEN], others, others - tally[False, ADE], tally[False, OPEN]
    )


def halvings(sample: Sample, number: int = HALVINGS) -> Iterator[tuple[Conformal, Sample]]:
    """(sets calibrated on one half of the documents, the other half), both ways of each halving."""
    documents = sorted(set(sample.documents))
    rng = np.random.default_rng(HALVING_SEED)
    for _ in range(number):
        drawn = rng.permutation(len(documents))
        half = {documents[i] for i in drawn[: len(documents) // 2]}
        parts = sample.part(half), sample.part(set(documents) - half)
        yield parts[0].conformal(), parts[1]
        yield parts[1].conformal(), parts[0]


def cross_fitted(
    sample: Sample, rates: Sequence[float] = RATES, number: int = HALVINGS
) -> dict[float, np.ndarray[Any, Any]]:
    """For each rate, a row per half judged: coverage of ADEs, of others, share left open of ADEs, of others, of all."""
    rows: dict[float, list[list[float]]] = {rate: [] for rate in rates}
    for sets, other in halvings(sample, number):
        conformities = [sets.conformity(p) for p in other.probabilities]
        for rate in rates:
            rows[rate].append(_shares(judged(conformities, other.labels, rate)))
    return {rate: np.array(found) for rate, found in rows.items()}


def _shares(c: Counts) -> list[float]:
    return [
        c.ades_covered / c.ades,
        c.others_covered / c.others,
        c.ades_open / c.ades,
        c.others_open / c.others,
        (c.ades_open + c.others_open) / (c.ades + c.others),
    ]


class PairCount(NamedTuple):
    """Pairs at or above the monitor's threshold: all, those of sentences left open, and how many of each are right."""

    pairs: int
    right: int
    open_pairs: int
    open_right: int


def counted_pairs(
    sentences: Sequence[Sentence], readings: Sequence[Reading], rate: float, threshold: float
) -> PairCount:
    """What a monitor would count. Right = drug and effect each overlap those of an annotated pair."""
    tally = [0, 0, 0, 0]
    for sentence, reading in zip(sentences, readings, strict=True):
        gold = [(sentence.drugs[d], sentence.effects[e]) for d, e in sentence.pairs]
        is_open = reading.conformity is not None and reading.conformity.verdict(rate) == OPEN
        for pair in reading.pairs:
            if pair.probability < threshold:
                continue
            drug, effect = reading.drugs[pair.drug], reading.effects[pair.effect]
            right = any(
                drug.start < d[1] and drug.end > d[0] and effect.start < e[1] and effect.end > e[0] for d, e in gold
            )
            for at, true in enumerate((True, right, is_open, is_open and right)):
                tally[at] += true
    return PairCount(*tally)


# ---------------------------------------------------------------- the page


def page(classifier: OnnxClassifier, data: Path) -> list[str]:
    """The measurements as Markdown."""
    manifest = classifier.artefact.manifest
    development = split_ade(load_ade(data / "ade_corpus_v2"), int(manifest.trained["development_fold"])).development
    readings = classifier.classify([s.text for s in development])
    sets = manifest.conformal
    if sets is None:
        raise SystemExit(f"{classifier.model} has no conformal calibration: export it anew")
    sample = Sample(
        [r.probability for r in readings], [s.positive for s in development], [s.document for s in development]
    )
    return [
        *_development_lines(sample, sets),
        *_pair_lines(development, readings),
        *_patients_lines(classifier, data),
        *_notes_lines(classifier, data),
    ]


def _development_lines(sample: Sample, sets: Conformal) -> list[str]:
    lines = [
        "## Development fold",
        "",
        f"{len(sample.labels)} sentences ({sum(sample.labels)} ADEs) of {len(set(sample.documents))} documents;"
        f" {HALVINGS} random halvings of the documents, each half judged by sets calibrated on the other. In brackets:"
        " the middle 95% of the halves judged. Band: probabilities that the shipped sets leave open.",
        "",
        "| error rate | ADEs covered | others covered | ADEs left open | others left open | all left open | band |",
        "|---|---|---|---|---|---|---|",
    ]
    for rate, rows in cross_fitted(sample).items():
        low, high = np.percentile(rows, [2.5, 97.5], axis=0)
        cells = [f"{m:.3f} [{a:.3f}, {b:.3f}]" for m, a, b in zip(rows.mean(axis=0), low, high, strict=True)]
        band = sets.band(rate)
        cells.append(f"{band[0]:.3f} to {band[1]:.3f}" if band else "none")
        lines.append(f"| {rate:g} | {' | '.join(cells)} |")
    return [*lines, ""]


def _pair_lines(sentences: Sequence[Sentence], readings: Sequence[Reading]) -> list[str]:
    threshold = TextSettings().threshold
    lines = [
        f'What `uncertain = "leave_out"` takes away at the default `threshold` of {threshold:g}: pairs counted on the'
        " development fold, and how many of them are right (both spans overlap those of an annotated pair). The"
        " shipped sets are calibrated on the same sentences, which matters little for these counts.",
        "",
        "| error rate | pairs counted | right | of sentences left open | right |",
        "|---|---|---|---|---|",
    ]
    for rate in RATES:
        lines.append(f"| {rate:g} | {' | '.join(map(str, counted_pairs(sentences, readings, rate, threshold)))} |")
    return [*lines, ""]


def _patients_lines(classifier: OnnxClassifier, data: Path) -> list[str]:
    kept = [s for s in split_psytar(data / "psytar").development if not s.withdrawal_only]
    conformities = [r.conformity or Conformity(1, 1) for r in classifier.classify([s.text for s in kept])]
    lines = [
        "## Patients' posts (PsyTAR's development file)",
        "",
        f"{len(kept)} sentences, withdrawal-only ones left out, by the shipped sets, calibrated on abstracts: nothing"
        " is guaranteed here. Intervals: 95%, Clopper-Pearson.",
        "",
        "| error rate | ADEs covered | others covered | all left open |",
        "|---|---|---|---|",
    ]
    for rate in RATES:
        c = judged(conformities, [s.positive for s in kept], rate)
        open_share = (c.ades_open + c.others_open) / (c.ades + c.others)
        lines.append(
            f"| {rate:g} | {_share(c.ades_covered, c.ades)} | {_share(c.others_covered, c.others)} | {open_share:.3f} |"
        )
    return [*lines, ""]


def _share(part: int, whole: int) -> str:
    found = binomtest(part, whole).proportion_ci(method="exact")
    return f"{part / whole:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _notes_lines(classifier: OnnxClassifier, data: Path) -> list[str]:
    notes: list[NoteSentence] = [s for s in load_notes(data) if not s.trained][:NOTES]
    conformities = [r.conformity or Conformity(1, 1) for r in classifier.classify([s.text for s in notes])]
    lines = [
        "## Clinical notes (MTS-Dialog, ACI-Bench: validation and test files)",
        "",
        f"{len(notes)} distinct sentences, not annotated: how much work is left to people, for each 1,000 sentences.",
        "",
        "| error rate | ADE | can't tell | not |",
        "|---|---|---|---|",
    ]
    for rate in RATES:
        verdicts = [c.verdict(rate) for c in conformities]
        shares = (f"{1000 * verdicts.count(v) / len(verdicts):.0f}" for v in (ADE, OPEN, NOT))
        lines.append(f"| {rate:g} | {' | '.join(shares)} |")
    return [*lines, ""]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    options = argparse.ArgumentParser(prog="python -m training.trust.coverage", description=__doc__)
    options.add_argument("--artefact", type=Path, default=shipped_folder())
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--page", type=Path, default=Path("docs/results/conformal.md"))
    given = options.parse_args(arguments)
    classifier = OnnxClassifier(load_artefact(given.artefact))
    origin = stamp(command_line(arguments, "python -m training.trust.coverage"))
    lines = [
        "# What the model leaves open",
        "",
        f"`{classifier.model}`, measured on {origin['date']} at commit {origin['commit']} on {origin['machine']}.",
        "",
        f"Command: `{origin['command']}`. What is guaranteed, of what and by whom: `inference/conformal.py`. A label is"
        " covered unless the verdict is the other one; at most the error rate should not be, for ADEs and for others"
        " each.",
        "",
        *page(classifier, given.data),
    ]
    given.page.write_text("\n".join(lines), encoding="utf-8")
    classifier.close()


if __name__ == "__main__":
    main()
