"""A model repository on disk: versions of a model side by side, as Triton reads them.

```
FOLDER/adverse_event/
├── config.pbtxt, configs/cpu.pbtxt   their last lines say which versions there are (`inference.triton.versions`)
├── 1/model.onnx
├── vigilia.json, tokenizer.json      the rest of version 1's artefact
├── 2/model.onnx
└── 2/vigilia.json, 2/tokenizer.json  the rest of version 2's; Triton passes over it
```
Nothing that serves is ever half there: a version's folder gets its name when it is whole, and is never changed then.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.artefact import MANIFEST, MODEL, Artefact, file_hash, load_artefact
from inference.triton.versions import Versions, read_versions, with_versions
from streams.errors import ConfigurationError, WrongModel

__all__ = ["Repository"]

CONFIGURATION = "config.pbtxt"
_LONGEST = re.compile(r'"trt_profile_max_shapes" value: "input_ids:\d+x(\d+),')


class Repository:
    """The versions of one model in the repository `folder`; `name` is the model's, and its folder's."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.model = folder / name

    def versions(self) -> Versions:
        """What there is. Raises ConfigurationError if there is no such model, or none that `push` put there."""
        try:
            found = read_versions((self.model / CONFIGURATION).read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(
                f"no model in {self.model}: {error.strerror}; `vigilia model push` puts one there"
            ) from error
        if not found.hashes:
            raise ConfigurationError(f"{self.model / CONFIGURATION} says of no version which artefact it is")
        return found

    def write(self, versions: Versions) -> None:
        """State these versions in every configuration. The servers look at them at their next load or start."""
        others = sorted((self.model / "configs").glob("*.pbtxt"))
        for path in (*others, self.model / CONFIGURATION):  # the one that is read here comes last
            part = path.with_name(f".{path.name}.part")
            part.write_text(with_versions(path.read_text("utf-8"), versions), "utf-8")
            part.replace(path)

    def push(self, artefact: Artefact) -> tuple[int, bool]:
        """Put an artefact beside the versions that are there; none is served for that, but the first of all.

        Returns its version and whether it is new: an artefact that is there already is not put there again.
        Raises ConfigurationError if the folder can't be written or the model's configuration does not fit.
        """
        digest = file_hash(artefact.folder / MANIFEST)
        try:
            if not self.model.exists():
                return self._first(artefact), True
            versions = self.versions()
            for number, known in versions.hashes.items():
                if known == digest:
                    return number, False
            self._check_fit(artefact)
            versions, number = versions.pushed(digest)
            self._put(artefact, number)
            self.write(versions)
        except OSError as error:
            raise ConfigurationError(f"{error.filename or self.model}: {error.strerror}") from error
        return number, True

    def _first(self, artefact: Artefact) -> int:
        if (artefact.folder / CONFIGURATION).exists():
            versions = read_versions((artefact.folder / CONFIGURATION).read_text("utf-8"))
        else:
            raise ConfigurationError(f"{artefact.folder} has no {CONFIGURATION}: `vigilia train export` writes one")
        if set(versions.hashes) != {1}:
            raise ConfigurationError(f"{artefact.folder} is no artefact as `vigilia train export` leaves it")
        self.folder.mkdir(parents=True, exist_ok=True)
        with _incoming(self.folder) as part:
            shutil.copytree(artefact.folder, part, dirs_exist_ok=True)
            part.chmod(0o755)
            part.rename(self.model)
        return 1

    def _check_fit(self, artefact: Artefact) -> None:
        """All versions share one configuration: TensorRT must be ready for the artefact's longest sentence."""
        longest = _LONGEST.search((self.model / CONFIGURATION).read_text("utf-8"))
        if longest and int(longest[1]) < artefact.manifest.max_length:
            raise ConfigurationError(
                f"{artefact.model} takes up to {artefact.manifest.max_length} pieces, TensorRT's profiles in "
                f"{self.model / CONFIGURATION} {longest[1]}: push it into a repository of its own"
            )

    def _put(self, artefact: Artefact, number: int) -> None:
        with _incoming(self.model) as part:
            for name in (*artefact.manifest.files, MANIFEST):
                shutil.copyfile(artefact.folder / name, part / _in_version(name))
            part.chmod(0o755)
            part.rename(self.model / str(number))

    @contextmanager
    def artefact(self, version: int) -> Iterator[Artefact]:
        """A version as the artefact it was pushed as, every file's hash verified.

        Raises WrongModel if a file is missing or altered, or the manifest is another than was pushed.
        """
        stated = self.versions().hashes[version]
        own = self.model / str(version)
        with tempfile.TemporaryDirectory(prefix="vigilia-model-") as name:
            whole = Path(name)
            (whole / MODEL).parent.mkdir()
            for path in own.iterdir() if own.is_dir() else ():
                target = MODEL if path.name == Path(MODEL).name else path.name
                (whole / target).symlink_to(path.resolve())
            if not (whole / MANIFEST).exists():  # version 1 is the artefact as it was pushed: the rest lies beside it
                for path in self.model.iterdir():
                    if path.is_file():
                        (whole / path.name).symlink_to(path.resolve())
            artefact = load_artefact(whole)
            found = file_hash(whole / MANIFEST)
            if found != stated:
                raise WrongModel(
                    f"version {version} in {self.model}: SHA-256 of its {MANIFEST} is {found[:12]}..., "
                    f"that of the artefact that was pushed {stated[:12]}..."
                )
            yield artefact


def _in_version(name: str) -> str:
    """Where a file of an artefact lies in its version's folder."""
    return Path(MODEL).name if name == MODEL else name


@contextmanager
def _incoming(parent: Path) -> Iterator[Path]:
    """A folder to fill and rename; whatever is left under its first name is removed."""
    part = Path(tempfile.mkdtemp(prefix="incoming-", dir=parent))
    try:
        yield part
    finally:
        if part.exists():
            shutil.rmtree(part)
