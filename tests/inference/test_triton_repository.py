"""Versions of an artefact in a model repository on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.artefact import file_hash, load_artefact, shipped_folder
from inference.triton.repository import Repository
from inference.triton.versions import Versions
from streams.errors import ConfigurationError, WrongModel
from tests.triton_models import other_artefact

NAME = "adverse_event"
SHIPPED = file_hash(shipped_folder() / "vigilia.json")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "models", NAME)
    assert repository.push(load_artefact()) == (1, True)
    return repository


def test_the_first_version_is_served_at_once_and_the_next_ones_are_not(repository: Repository, tmp_path: Path) -> None:
    assert repository.versions() == Versions({1: SHIPPED}, (1,), (1,))
    other = load_artefact(other_artefact(tmp_path / "other" / NAME, threshold=0.5))
    assert repository.push(other) == (2, True)
    assert repository.versions() == Versions({1: SHIPPED, 2: file_hash(other.folder / "vigilia.json")}, (1,), (1,))
    assert repository.push(other) == (2, False)
    assert sorted(path.name for path in repository.model.iterdir() if path.is_dir()) == ["1", "2", "configs", "warmup"]


def test_a_version_comes_out_as_it_was_pushed(repository: Repository, tmp_path: Path) -> None:
    other = load_artefact(other_artefact(tmp_path / "other" / NAME, threshold=0.5))
    repository.push(other)
    for version, pushed in ((1, load_artefact()), (2, other)):
        with repository.artefact(version) as found:
            assert (found.model, found.manifest) == (pushed.model, pushed.manifest)
            assert found.onnx.read_bytes() == pushed.onnx.read_bytes()


@pytest.mark.parametrize(
    ("version", "name"), [(1, "vigilia.json"), (1, "1/model.onnx"), (2, "2/model.onnx"), (2, "2/tokenizer.json")]
)
def test_a_version_whose_files_were_altered_does_not(
    repository: Repository, tmp_path: Path, version: int, name: str
) -> None:
    repository.push(load_artefact(other_artefact(tmp_path / "other" / NAME, threshold=0.5)))
    path = repository.model / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(WrongModel), repository.artefact(version):
        pass


def test_a_version_with_another_manifest_than_was_pushed_does_not(repository: Repository) -> None:
    path = repository.model / "vigilia.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(WrongModel, match=r"that of the artefact that was pushed"), repository.artefact(1):
        pass


def test_what_somebody_edited_above_the_versions_is_kept(repository: Repository, tmp_path: Path) -> None:
    path = repository.model / "configs" / "cpu.pbtxt"
    path.write_text(path.read_text("utf-8").replace("count: 2", "count: 3"), "utf-8")
    repository.push(load_artefact(other_artefact(tmp_path / "other" / NAME, threshold=0.5)))
    assert "count: 3" in path.read_text("utf-8")
    assert path.read_text("utf-8").count("version_policy") == 1


def test_a_longer_model_than_tensorrt_is_made_ready_for_is_refused(repository: Repository, tmp_path: Path) -> None:
    longer = load_artefact(other_artefact(tmp_path / "longer" / NAME, max_length=128))
    with pytest.raises(ConfigurationError, match=r"takes up to 128 pieces.* 96"):
        repository.push(longer)
    assert set(repository.versions().hashes) == {1}


def test_a_folder_that_is_no_repository_of_ours_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`vigilia model push` puts one there"):
        Repository(tmp_path, NAME).versions()
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "config.pbtxt").write_text('name: "adverse_event"\n')
    with pytest.raises(ConfigurationError, match="says of no version"):
        Repository(tmp_path, NAME).versions()


def test_nothing_is_left_of_a_push_that_fails(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    artefact = load_artefact()
    before = sorted(path.name for path in repository.model.rglob("*"))

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fails)
    monkeypatch.setattr(Repository, "versions", lambda _: Versions({1: "0" * 64}, (1,), (1,)))
    with pytest.raises(ConfigurationError, match="No space left"):
        repository.push(artefact)
    assert sorted(path.name for path in repository.model.rglob("*")) == before
