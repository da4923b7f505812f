"""Writing an artefact: graph, tokenizer, Triton's configuration, manifest. See `inference.artefact` for the folder.

A run's vocabulary is taken as it is: a smaller one has to be chosen before training, not here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from inference.artefact import FORMAT, MANIFEST, MODEL, TOKENIZER, Artefact, Manifest, file_hash, load_artefact
from inference.onnx import OnnxClassifier
from training.data import SEED, Sentence
from training.export.calibrate import UNCALIBRATED, Calibration, calibrate
from training.export.dequantise import weights_of
from training.export.graph import build
from training.export.nodes import Precision
from training.export.triton import state_manifest, write_configurations
from training.export.weights import Trained

LENGTH_STEP = 4
WARM_UP = "Severe neutropenia developed after clozapine."


def write_artefact(folder: Path, trained: Trained, precision: Precision) -> Artefact:
    """Write an artefact with no calibration yet; files of an earlier one stay only where nothing replaces them."""
    (folder / MODEL).parent.mkdir(parents=True, exist_ok=True)
    model = build(trained.weights, trained.shape, precision)
    (folder / MODEL).write_bytes(model.SerializeToString(deterministic=True))
    (folder / TOKENIZER).write_text(plain_tokenizer(trained.tokenizer), encoding="utf-8")
    warm_up = Tokenizer.from_file(str(folder / TOKENIZER)).encode(WARM_UP).ids
    write_configurations(folder, warm_up, LENGTH_STEP, trained.max_length)
    manifest = Manifest(
        format=FORMAT,
        name=f"ade-{trained.base}",
        files={name: file_hash(folder / name) for name in (MODEL, TOKENIZER)},
        labels=["O", "B", "I"],
        max_length=trained.max_length,
        length_step=LENGTH_STEP,
        trained=described(trained) | {"precision": precision},
        **UNCALIBRATED._asdict(),
    )
    return _written(folder, manifest)


def plain_tokenizer(source: str) -> str:
    """tokenizer.json in one line, without the padding and truncation that training asked for: the reader sets its own.

    >>> plain_tokenizer('{"truncation": {"max_length": 96}, "padding": null, "model": {"vocab": {"µ": 1}}}')
    '{"truncation":null,"padding":null,"model":{"vocab":{"µ":1}}}\\n'
    """
    document = json.loads(source) | {"padding": None, "truncation": None}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def described(trained: Trained) -> dict[str, str]:
    """What the manifest says of the training: enough to find the run's recipe.json and to repeat the split."""
    recipe = trained.recipe
    stated = {
        "base": trained.base,
        "fold_seed": SEED,
        "development_fold": recipe["fold"],
        "seed": recipe["seed"],
        "weights": file_hash(trained.folder / "model.safetensors"),
    }
    if "identity" in recipe:
        stated["recipe"] = recipe["identity"]
    return {key: str(value) for key, value in stated.items()}


def _written(folder: Path, manifest: Manifest) -> Artefact:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    (folder / MANIFEST).write_bytes(text)
    state_manifest(folder, file_hash(folder / MANIFEST))
    return load_artefact(folder)


def rebuilt(artefact: Artefact, folder: Path, precision: Precision) -> Artefact:
    """An int8 artefact's model in another precision, as an artefact of its own; its calibration is the int8 one's.

    See `training.export.dequantise` for what it is.
    """
    weights, shape = weights_of(artefact.onnx)
    (folder / MODEL).parent.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(build(weights, shape, precision).SerializeToString(deterministic=True))
    shutil.copyfile(artefact.tokenizer, folder / TOKENIZER)
    manifest = artefact.manifest
    warm_up = Tokenizer.from_file(str(artefact.tokenizer)).encode(WARM_UP).ids
    write_configurations(folder, warm_up, manifest.length_step, manifest.max_length)
    files = {name: file_hash(folder / name) for name in (MODEL, TOKENIZER)}
    trained = manifest.trained | {"precision": precision, "rebuilt_from": artefact.model}
    return _written(folder, msgspec.structs.replace(manifest, files=files, trained=trained, first_stage=None))


def with_calibration(artefact: Artefact, calibration: Calibration) -> Artefact:
    """The same artefact with this calibration in its manifest."""
    return _written(artefact.folder, msgspec.structs.replace(artefact.manifest, **calibration._asdict()))


def with_first_stage(artefact: Artefact, name: str, content: bytes) -> Artefact:
    """The same artefact with this first stage (`inference.first_stage`) as its file `name`, hashed in the manifest."""
    (artefact.folder / name).write_bytes(content)
    files = artefact.manifest.files | {name: file_hash(artefact.folder / name)}
    return _written(artefact.folder, msgspec.structs.replace(artefact.manifest, files=files, first_stage=name))


def calibrated(
    artefact: Artefact, sentences: Sequence[Sentence], threads: int = 2, made: Sequence[Sentence] = ()
) -> Artefact:
    """The artefact with calibration and thresholds fitted on these sentences, which no training has seen.

    `made`: see `calibrate`.
    """
    classifier = OnnxClassifier(artefact, threads=threads)
    raws, of_made = (classifier.raw([sentence.text for sentence in part]) for part in (sentences, made))
    classifier.close()
    return with_calibration(artefact, calibrate(sentences, raws, (made, of_made)))
