"""The model artefact: one folder that the in-process classifier and Triton both read.

```
adverse_event/
├── 1/model.onnx       the graph and its int8 weights
├── config.pbtxt       for Triton only
├── first_stage.bin    what spares the graph hopeless sentences (`inference.first_stage`); an artefact may lack it
├── tokenizer.json     the tokenizer, vocabulary included
└── vigilia.json       `Manifest`: calibration, threshold, SHA-256 of each file that decides a reading
```
The artefact's name in alerts is `name@prefix`, prefix being 12 hex digits of vigilia.json's own SHA-256: as that file
holds the hashes of the others, whatever decides a reading is in the name. `config.pbtxt` decides speed only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inference.calibration import PairCalibration, Platt
from inference.conformal import Conformal
from streams.errors import WrongModel

MANIFEST = "vigilia.json"
MODEL = "1/model.onnx"
TOKENIZER = "tokenizer.json"
FORMAT = 2


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """vigilia.json. Lengths are in pieces, special ones included.

    `threshold` is for a sentence's probability, `pair_threshold` for a pair's: the largest expected F1 of each.
    `conformal` tells sentences that are left open; None if the artefact has no calibration for that.
    `first_stage` names the file of `inference.first_stage`, whose hash is in `files`.
    """

    format: int
    name: str
    files: dict[str, str]
    labels: list[str]
    max_length: int
    length_step: int
    threshold: float
    pair_threshold: float
    sentence: Platt
    pair: PairCalibration
    trained: dict[str, str]
    conformal: Conformal | None = None
    first_stage: str | None = None


@dataclass(frozen=True)
class Artefact:
    """A verified artefact."""

    folder: Path
    manifest: Manifest
    model: str

    @property
    def onnx(self) -> Path:
        """The graph's path."""
        return self.folder / MODEL

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's path."""
        return self.folder / TOKENIZER


def shipped_folder() -> Path:
    """The artefact that is part of the package."""
    return Path(__file__).parent / "model_repository" / "adverse_event"


def file_hash(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_artefact(folder: Path | None = None, expected: str | None = None) -> Artefact:
    """Read and verify an artefact; the shipped one by default.

    `expected` is what a monitor names: `name`, or `name@prefix` with a prefix of the hash.
    Raises WrongModel if a file is missing or altered, the format is another, or the artefact is not the one named.
    """
    folder = folder or shipped_folder()
    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(raw, type=Manifest)
    except OSError as error:
        raise WrongModel(f"no model in {folder}: {error.strerror}; `make train` makes one") from error
    except msgspec.MsgspecError as error:
        raise WrongModel(f"{folder / MANIFEST}: {error}") from error
    if manifest.format != FORMAT:
        raise WrongModel(f"{folder / MANIFEST}: format {manifest.format}, this vigilia reads {FORMAT}")
    missing = {MODEL, TOKENIZER, *filter(None, [manifest.first_stage])} - manifest.files.keys()
    if missing:
        raise WrongModel(f"{folder / MANIFEST}: no hash for {', '.join(sorted(missing))}")
    for name, stated in manifest.files.items():
        _verify(folder / name, stated)
    digest = hashlib.sha256(raw).hexdigest()
    if expected is not None:
        wanted, _, prefix = expected.partition("@")
        if wanted != manifest.name or not digest.startswith(prefix):
            raise WrongModel(f"the monitor names {expected}, {folder} holds {manifest.name}@{digest[:12]}")
    return Artefact(folder, manifest, f"{manifest.name}@{digest[:12]}")


def _verify(path: Path, stated: str) -> None:
    try:
        found = file_hash(path)
    except OSError as error:
        raise WrongModel(f"{path}: {error.strerror}") from error
    if found != stated:
        raise WrongModel(f"{path}: SHA-256 is {found[:12]}..., the manifest says {stated[:12]}...")
