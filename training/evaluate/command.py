"""Measure an artefact, part by part, and write the page of results.

Each part is stamped with command, date, commit and machine. `--parts` measures some of them anew and keeps the others
of `--out`, as long as they are of the same artefact.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from inference.artefact import Artefact, load_artefact, shipped_folder
from inference.onnx import OnnxClassifier, Raw
from training.data import Sentence, Split, fold_of, load_ade, split_ade, split_psytar
from training.evaluate.calibration import calibration_figures
from training.evaluate.development import Measured, sentence_figures, span_figures
from training.evaluate.metrics import Interval
from training.evaluate.outside import calibration_of, psytar_figures, read_notes
from training.evaluate.robustness import robustness_figures
from training.evaluate.subgroups import subgroup_figures
from training.provenance import command_line, stamp

SAMPLE_SEED = 3


@dataclass
class Bench:
    """An artefact with the data it is measured on. Data and readings that several parts need are made once.

    `share` < 1 keeps only that share of the documents: to try things, never for a figure.
    """

    artefact: Artefact
    data: Path
    threads: int = 2
    share: float = 1.0
    classifier: OnnxClassifier = field(init=False)

    def __post_init__(self) -> None:
        self.classifier = OnnxClassifier(self.artefact, threads=self.threads)

    def read(self, texts: Sequence[str]) -> list[Raw]:
        """What the model says, uncalibrated."""
        return self.classifier.raw(texts)

    def _sampled(self, split: Split) -> Split:
        kept = [s for s in split.development if fold_of(s.document, SAMPLE_SEED, 100) < 100 * self.share]
        return Split(split.training, kept, split.removed)

    @cached_property
    def ade(self) -> Split:
        """ADE-Corpus-V2 without the artefact's development fold, and that fold."""
        fold = int(self.artefact.manifest.trained.get("development_fold", 0))
        return self._sampled(split_ade(load_ade(self.data / "ade_corpus_v2"), fold))

    @cached_property
    def psytar(self) -> Split:
        """PsyTAR's published training and development files."""
        return self._sampled(split_psytar(self.data / "psytar"))

    @cached_property
    def psytar_raws(self) -> list[Raw]:
        """PsyTAR's development file, read."""
        return self.read([s.text for s in self.psytar.development])

    @cached_property
    def training(self) -> list[Sentence]:
        """What the artefact was trained on, of both corpora."""
        return self.ade.training + self.psytar.training

    @cached_property
    def development(self) -> Measured:
        """The development fold, read and judged."""
        sentences = self.ade.development
        return Measured.of(sentences, self.read([s.text for s in sentences]))


def _development(bench: Bench) -> Any:
    return sentence_figures(bench.development) | span_figures(bench.development)


def _calibration(bench: Bench) -> Any:
    return calibration_figures(bench.development)


def _psytar(bench: Bench) -> Any:
    return psytar_figures(bench.psytar.development, bench.psytar_raws, calibration_of(bench.artefact))


def _notes(bench: Bench) -> Any:
    return read_notes(bench.data, bench.read, calibration_of(bench.artefact), bench.share)


def _robustness(bench: Bench) -> Any:
    return robustness_figures(bench.development, bench.read, bench.data, bench.training)


def _subgroups(bench: Bench) -> Any:
    """Groups of the development fold; and it against PsyTAR, which the shipped calibration judges."""
    here = bench.development
    patients = bench.psytar.development
    shipped = calibration_of(bench.artefact)
    theirs = np.array([shipped.sentence.probability(raw.logit) for raw in bench.psytar_raws])
    return subgroup_figures(here.sentences, here.probabilities, here.thresholds) + subgroup_figures(
        [*here.sentences, *patients],
        np.concatenate([here.probabilities, theirs]),
        np.concatenate([here.thresholds, np.full(len(patients), shipped.threshold)]),
        ("source",),
    )


PARTS: dict[str, Callable[[Bench], Any]] = {
    "development": _development,
    "calibration": _calibration,
    "psytar": _psytar,
    "notes": _notes,
    "robustness": _robustness,
    "subgroups": _subgroups,
}
COMPARED = ("development", "calibration", "psytar")  # what is measured of a reference too


def measure(bench: Bench, parts: Sequence[str] = tuple(PARTS), command: str = "") -> dict[str, Any]:
    """{part: figures, seconds and stamp} of an artefact."""
    measured: dict[str, Any] = {}
    for part in parts:
        begun = time.monotonic()
        figures = PARTS[part](bench)
        seconds = round(time.monotonic() - begun, 1)
        print(f"{part}: {seconds} s", file=sys.stderr, flush=True)
        measured[part] = {"figures": figures, "seconds": seconds, "model": bench.artefact.model} | stamp(command)
    return measured


def read_results(path: Path, model: str) -> dict[str, Any]:
    """The parts already measured of this very artefact; none if the file is of another one."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return dict(found["parts"]) if found.get("model") == model else {}


def write_results(path: Path, model: str, parts: dict[str, Any]) -> None:
    """Write all parts as JSON, floats rounded to six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model": model, "parts": _rounded(parts)}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def show(figures: Any) -> None:
    """Print a part's figures, those with an interval as such."""
    if not isinstance(figures, dict):
        return
    for name, value in figures.items():
        if isinstance(value, Interval):
            print(f"{name:45} {value.value:.3f} [{value.low:.3f}, {value.high:.3f}]")
        elif isinstance(value, float):
            print(f"{name:45} {value:.3f}")


def parser() -> argparse.ArgumentParser:
    """The options of `python -m training.evaluate`."""
    options = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    options.add_argument("--artefact", type=Path, default=shipped_folder(), help="folder with vigilia.json")
    options.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    options.add_argument("--reference", type=Path, help="artefact of the same weights in float32: what int8 costs")
    options.add_argument("--out", type=Path, help="JSON of all figures; parts of the same artefact in it are kept")
    options.add_argument("--parts", default=",".join(PARTS), help="which to measure, comma-separated: %(default)s")
    options.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")
    options.add_argument("--share", type=float, default=1.0, help="share of the documents, to try things out")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    options = parser()
    given = options.parse_args(arguments)
    parts = [part.strip() for part in given.parts.split(",") if part.strip()]
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        options.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    artefact = load_artefact(given.artefact)
    kept = read_results(given.out, artefact.model) if given.out else {}
    bench = Bench(artefact, given.data, given.threads, given.share)
    measured = kept | measure(bench, parts, command_line(arguments))
    if given.reference:
        reference = Bench(load_artefact(given.reference), given.data, given.threads, given.share)
        measured["reference"] = measure(reference, COMPARED, command_line(arguments))
    print(artefact.model)
    for part in parts:
        show(measured[part]["figures"])
    if given.out:
        write_results(given.out, artefact.model, measured)


if __name__ == "__main__":
    main()
