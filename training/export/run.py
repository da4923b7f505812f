"""From a run's folder to artefacts, one a precision, each checked against torch and calibrated.

`<run>/<precision>/adverse_event` is written, so that `<run>/<precision>` is a model repository that Triton reads. The
parity that was measured is left beside it in `parity.json`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from inference.artefact import Artefact, load_artefact
from streams.errors import WrongModel
from training.augment import unseen
from training.augment.names import names_of
from training.data import Sentence, load_corpora, load_jsonlines, split_corpora
from training.export.artefacts import calibrated, with_first_stage, write_artefact
from training.export.nodes import Precision
from training.export.parity import Parity, check, measure, samples
from training.export.weights import Trained

MODEL_NAME = "adverse_event"
PARITY = "parity.json"
SHIPPED: Precision = "int8"
REFERENCE: Precision = "fp32"
MADE_EACH = 20  # sentences a skeleton


class HeldOut(NamedTuple):
    """What a run's artefacts are calibrated on: sentences of documents and of skeletons that it was not trained on."""

    development: list[Sentence]
    made: list[Sentence]  # with several drugs, one or none to blame


def held_out(trained: Trained, data: Path) -> HeldOut:
    """Development sentences of ADE-Corpus and of the user's own files, and made ones where there is ADE-Corpus.

    Raises CorpusError if the own files are not where the run read them.
    """
    recipe = trained.recipe
    own = [Path(path) for path in recipe.get("own", ())]
    public = (data / "ade_corpus_v2").is_dir() or not own
    corpora = load_corpora(data, own=own) if public else [load_jsonlines(path) for path in own]
    split = split_corpora(corpora, int(recipe["fold"]))
    if not public:
        return HeldOut(split.development, [])
    rng = random.Random(f"{recipe['seed']}:pairs")
    kinds = ("two_drugs", "therapeutic", "indication")
    made = unseen(names_of(split.training), rng, fold=int(recipe["fold"]), kinds=kinds, each=MADE_EACH)
    return HeldOut(split.development, made)


def export_run(
    trained: Trained, material: HeldOut, precisions: Sequence[Precision], threads: int = 2
) -> dict[Precision, Artefact]:
    """Artefacts of a run, one a precision, in its folder. Raises ParityError, ExportError."""
    chosen = samples([sentence.text for sentence in material.development])
    found: dict[Precision, Artefact] = {}
    for precision in precisions:
        folder = trained.folder / precision / MODEL_NAME
        shutil.rmtree(folder, ignore_errors=True)
        artefact = write_artefact(folder, trained, precision)
        parity = measure(trained, artefact, chosen)
        report = msgspec.json.format(msgspec.json.encode(parity), indent=1) + b"\n"
        (trained.folder / precision / PARITY).write_bytes(report)
        check(parity, precision)
        found[precision] = calibrated(artefact, material.development, threads, material.made)
    return found


def read_parity(run: Path, precision: Precision) -> Parity | None:
    """What `export_run` measured, if it did."""
    path = run / precision / PARITY
    return msgspec.json.decode(path.read_bytes(), type=Parity) if path.exists() else None


def ship(artefact: Artefact, shipped: Path) -> Artefact:
    """Put an artefact where the product reads it, in place of what is there.

    The first stage of what is there stays, unless the artefact brings one: it does not depend on the transformer.
    """
    first_stage = _first_stage_in(shipped)
    shutil.rmtree(shipped, ignore_errors=True)
    shutil.copytree(artefact.folder, shipped)
    made = load_artefact(shipped)
    if first_stage is None or made.manifest.first_stage is not None:
        return made
    return with_first_stage(made, *first_stage)


def _first_stage_in(folder: Path) -> tuple[str, bytes] | None:
    """Name and bytes of the first stage of an artefact; None without one, or if the artefact is not whole."""
    try:
        name = load_artefact(folder).manifest.first_stage
    except WrongModel:
        return None
    return (name, (folder / name).read_bytes()) if name is not None else None
