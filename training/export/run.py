"""From a run's folder to artefacts, one a precision, each checked against torch and calibrated.

`<run>/<precision>/adverse_event` is written, so that `<run>/<precision>` is a model repository that Triton reads. The
parity that was measured is left beside it in `parity.json`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from inference.artefact import Artefact, load_artefact
from streams.errors import WrongModel
from training.augment import unseen
from training.augment.names import names_of
from training.data import Sentence, load_ade, load_corpora, load_jsonlines, split_ade, split_corpora
from training.export.artefacts import calibrated, with_first_stage, write_artefact
from training.export.nodes import Precision
from training.export.parity import Parity, check, measure, samples
from training.export.weights import Trained, read_run

MODEL_NAME = "adverse_event"
PARITY = "parity.json"
SHIPPED: Precision = "int8"
REFERENCE: Precision = "fp32"
MADE_EACH = 20  # sentences a skeleton


def development_of(trained: Trained, data: Path) -> list[Sentence]:
    """Development sentences of ADE-Corpus and of the user's own files: none of their documents was trained on.

    Raises CorpusError if the own files are not where the run read them.
    """
    own = [Path(path) for path in trained.recipe.get("own", ())]
    corpora = load_corpora(data) if (data / "ade_corpus_v2").is_dir() or not own else []
    corpora += [load_jsonlines(path) for path in own]
    return split_corpora(corpora, int(trained.recipe["fold"])).development


def made_for_pairs(trained: Trained, data: Path) -> list[Sentence]:
    """Sentences with several drugs, one or none to blame, from skeletons that the run did not train on."""
    fold = int(trained.recipe["fold"])
    if not (data / "ade_corpus_v2").is_dir():
        return []
    names = names_of(split_ade(load_ade(data / "ade_corpus_v2"), fold).training)
    rng = random.Random(f"{trained.recipe['seed']}:pairs")
    return unseen(names, rng, fold=fold, kinds=("two_drugs", "therapeutic", "indication"), each=MADE_EACH)


def export_run(
    run: Path,
    sentences: Sequence[Sentence],
    precisions: Sequence[Precision],
    threads: int = 2,
    made: Sequence[Sentence] = (),
) -> dict[Precision, Artefact]:
    """Artefacts of a run, calibrated on these sentences (`made`: see `calibrate`). Raises ParityError, ExportError."""
    trained = read_run(run)
    chosen = samples([sentence.text for sentence in sentences])
    found: dict[Precision, Artefact] = {}
    for precision in precisions:
        folder = run / precision / MODEL_NAME
        shutil.rmtree(folder, ignore_errors=True)
        artefact = write_artefact(folder, trained, precision)
        parity = measure(trained, artefact, chosen)
        (run / precision / PARITY).write_bytes(msgspec.json.format(msgspec.json.encode(parity), indent=1) + b"\n")
        check(parity, precision)
        found[precision] = calibrated(artefact, sentences, threads, made)
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
