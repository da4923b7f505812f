"""A trained model to the artefact that is served: `python -m training.export --run training/runs/latest`.

Two artefacts come out. `<run>/fp32` keeps every weight: what the loss is measured against. The shipped one has int8
weights and calibration fitted on the development fold. A vocabulary that was cut before training is taken as it is;
one that was not is cut here.
"""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from inference.artefact import FORMAT, MANIFEST, MODEL, TOKENIZER, Artefact, Manifest, file_hash, load_artefact
from inference.onnx import OnnxClassifier
from training.data import SEED, Sentence, load_ade, split_ade, split_psytar
from training.export.calibrate import UNCALIBRATED, Calibration, calibrate
from training.export.graph import Quantise, build
from training.export.triton import write_configurations
from training.export.weights import PLACES, WORDS, Trained, read_run
from training.vocabulary import choose, count_pieces, cut_tokenizer, narratives

NAME = "ade-minilm"
MAX_LENGTH = 96
LENGTH_STEP = 8
PIECES = 9000


def write_artefact(
    folder: Path, trained: Trained, kept: Sequence[int] | None, quantise: Quantise, described: dict[str, str]
) -> Artefact:
    """Write graph, tokenizer, Triton's configuration and a manifest with no calibration yet."""
    weights = dict(trained.weights)
    weights[PLACES] = weights[PLACES][:MAX_LENGTH]
    ids = list(range(len(weights[WORDS]))) if kept is None else list(kept)
    weights[WORDS] = weights[WORDS][ids]
    (folder / MODEL).parent.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(build(weights, trained.shape, quantise).SerializeToString(deterministic=True))
    (folder / TOKENIZER).write_text(cut_tokenizer(trained.tokenizer, ids), encoding="utf-8")
    warm_up = Tokenizer.from_file(str(folder / TOKENIZER)).encode("Severe neutropenia developed after clozapine.").ids
    write_configurations(folder, warm_up)
    return _write_manifest(folder, described, UNCALIBRATED)


def _write_manifest(folder: Path, described: dict[str, str], calibration: Calibration) -> Artefact:
    manifest = Manifest(
        format=FORMAT,
        name=NAME,
        files={name: file_hash(folder / name) for name in (MODEL, TOKENIZER)},
        labels=["O", "B", "I"],
        max_length=MAX_LENGTH,
        length_step=LENGTH_STEP,
        trained=described,
        **calibration._asdict(),
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    (folder / MANIFEST).write_bytes(text)
    return load_artefact(folder)


def calibrated(artefact: Artefact, sentences: Sequence[Sentence]) -> Artefact:
    """The artefact with calibration and threshold fitted on these sentences."""
    classifier = OnnxClassifier(artefact, threads=2)
    raws = classifier.raw([sentence.text for sentence in sentences])
    classifier.close()
    return _write_manifest(artefact.folder, artefact.manifest.trained, calibrate(sentences, raws))


def kept_pieces(trained: Trained, training: Sequence[Sentence], data: Path) -> list[int] | None:
    """The pieces that the shipped artefact keeps; None if the vocabulary was cut before training."""
    tokenizer = Tokenizer.from_str(trained.tokenizer)
    if trained.recipe.get("vocabulary") is not None:
        return None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts = count_pieces(tokenizer, [s.text for s in training])
    needed = Counter({piece: n for piece, n in counts.items() if n > 1})
    useful: Counter[int] = count_pieces(tokenizer, narratives(data / "vaers_1990_2006"))
    return choose(tokenizer.get_vocab(), needed, useful, PIECES)


def export(run: Path, data: Path, shipped: Path) -> tuple[Artefact, Artefact]:
    """(fp32 artefact in the run's folder, shipped artefact), both calibrated on the run's development fold."""
    trained = read_run(run)
    fold = int(trained.recipe["fold"])
    split = split_ade(load_ade(data / "ade_corpus_v2"), fold)
    described = {
        "base": "sentence-transformers/all-MiniLM-L6-v2",
        "corpora": "ADE-Corpus-V2, PsyTAR",
        "fold_seed": str(SEED),
        "development_fold": str(fold),
        "seed": str(trained.recipe["seed"]),
    }
    reference = write_artefact(run / "fp32", trained, None, None, described)
    kept = kept_pieces(trained, [*split.training, *split_psytar(data / "psytar").training], data)
    shutil.rmtree(shipped, ignore_errors=True)
    small = write_artefact(shipped, trained, kept, "rows", described)
    return calibrated(reference, split.development), calibrated(small, split.development)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    options = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    options.add_argument("--run", type=Path, default=Path("training/runs/latest"))
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--shipped", type=Path, default=Path("inference/model_repository/adverse_event"))
    given = options.parse_args(arguments)
    for artefact in export(given.run, given.data, given.shipped):
        size = sum(path.stat().st_size for path in artefact.folder.rglob("*") if path.is_file())
        print(f"{artefact.model}  {artefact.folder}  {size / 1e6:.1f} MB")
