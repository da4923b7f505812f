"""`vigilia model` on a real Triton server: versions side by side, changed without a gap, taken back."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper

from inference.artefact import load_artefact, shipped_folder
from inference.triton import TritonClassifier, address_of
from inference.triton.versions import Versions, read_versions
from streams.cli import cli
from streams.errors import Unavailable
from tests.triton_models import other_artefact

TEXT = "Severe rash after amoxicillin."
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own, into which the shipped artefact was pushed."""
    folder = tmp_path_factory.mktemp("repository") / "models"
    found = CliRunner().invoke(cli, ["model", "push", str(shipped_folder()), "--repository", str(folder)])
    assert found.exit_code == 0, found.output
    return folder


@pytest.fixture(scope="module")
def server(triton_tool: ModuleType, folder: Path) -> Iterator[Any]:
    with triton_tool.Server(folder) as server:
        yield server


@pytest.fixture
def model(server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`model("load", "2")`: the command on that server and repository."""
    monkeypatch.setenv("VIGILIA_TRITON_URLS", server.grpc)
    monkeypatch.setenv("VIGILIA_MODEL_REPOSITORY", str(folder))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["model", *arguments], standalone_mode=False)

    return run


def states(model: Command) -> dict[int, tuple[str, bool, bool, str | None]]:
    found = model("status", "--json")
    return {
        row["version"]: (row["state"], row["current"], row["served"], row["fault"]) for row in json.loads(found.output)
    }


def versions(folder: Path) -> Versions:
    """What both configurations say; they must agree."""
    said = {read_versions(path.read_text("utf-8")).served for path in folder.rglob("*.pbtxt")}
    assert len(said) == 1
    return read_versions((folder / "adverse_event" / "config.pbtxt").read_text("utf-8"))


def test_a_new_version_comes_without_a_gap_and_is_taken_back_without_one(
    model: Command, server: Any, folder: Path, tmp_path: Path
) -> None:
    assert states(model) == {1: ("READY", True, True, None)}
    pushed = model("push", str(other_artefact(tmp_path / "other", threshold=0.5)))
    assert "is version 2 " in pushed.output
    assert states(model)[2] == ("", False, False, None)
    assert "version 2 already" in model("push", str(tmp_path / "other")).output

    failures: list[Exception] = []
    answers = 0
    over = threading.Event()
    first = TritonClassifier(load_artefact(), [address_of(server.grpc)])
    expected = first.classify([TEXT])

    def ask() -> None:
        nonlocal answers
        while not over.is_set():
            try:
                assert first.classify([TEXT]) == expected
                answers += 1
            except Exception as error:  # noqa: BLE001  every failure is counted
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert model("load", "2").output.endswith("served: 1, 2\n")
        assert states(model) == {1: ("READY", False, True, None), 2: ("READY", True, True, None)}
        second = TritonClassifier(load_artefact(tmp_path / "other"), [address_of(server.grpc)])
        second.check()
        assert second.servers()[f"grpc://{server.grpc}"]["version"] == "2"
        second.close()
        assert model("rollback").output.endswith("served: 1\n")
        assert states(model)[1] == ("READY", True, True, None)
        assert states(model)[2][0] in ("UNLOADING", "UNAVAILABLE")
    finally:
        over.set()
        asking.join()
        first.close()
    assert failures == []
    assert answers > 10
    assert versions(folder).history == (1,)
    assert model("rollback").exception is not None


def test_what_cannot_be_loaded_is_taken_back(model: Command, server: Any, folder: Path, tmp_path: Path) -> None:
    before = versions(folder)
    broken = other_artefact(tmp_path / "broken", threshold=0.6)
    (broken / "1" / "model.onnx").write_bytes(b"no graph")
    manifest = json.loads((broken / "vigilia.json").read_bytes())
    manifest["files"]["1/model.onnx"] = hashlib.sha256(b"no graph").hexdigest()
    (broken / "vigilia.json").write_text(json.dumps(manifest), "utf-8")
    number = model("push", str(broken)).output.split("is version ")[1].split()[0]
    assert model("load", number).exception is not None
    assert versions(folder)._replace(hashes={}) == before._replace(hashes={})
    assert states(model)[1] == ("READY", True, True, None)


def test_what_one_of_the_servers_does_not_take_is_taken_back_from_all(
    model: Command, server: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = (
        model("push", str(other_artefact(tmp_path / "other", threshold=0.8))).output.split("is version ")[1].split()[0]
    )
    before = versions(folder)
    monkeypatch.setenv("VIGILIA_TRITON_URLS", f"{server.grpc},127.0.0.1:1")
    assert isinstance(model("load", number).exception, Unavailable)
    assert versions(folder) == before
    monkeypatch.setenv("VIGILIA_TRITON_URLS", server.grpc)
    found = states(model)
    assert found[1] == ("READY", True, True, None)
    assert found[int(number)][0] in ("UNLOADING", "UNAVAILABLE")


def test_a_version_whose_answers_are_not_its_artefact_s_is_taken_back(
    model: Command, server: Any, folder: Path, tmp_path: Path
) -> None:
    """The server reads other weights than those whose hash was pushed: an edit between check and load."""
    other = other_artefact(tmp_path / "other", threshold=0.7)
    number = model("push", str(other)).output.split("is version ")[1].split()[0]
    path = folder / "adverse_event" / number / "model.onnx"
    graph = onnx.load(path)
    (bias,) = (tensor for tensor in graph.graph.initializer if tensor.name == "pair.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1, bias.name))
    whole = path.read_bytes()
    onnx.save(graph, path)
    found = model("load", number)
    assert "SHA-256" in str(found.exception)
    path.write_bytes(whole)
    assert model("load", number, "--only").output.endswith(f"served: {number}\n")
    onnx.save(graph, path)
    assert "SHA-256" in str(states(model)[int(number)][3])
    server.restart()
    path.write_bytes(whole)
    assert "answers otherwise" in str(states(model)[int(number)][3])
    assert model("status").return_value == 1


def test_a_server_that_reads_another_folder_is_found_out(
    model: Command, triton_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = (
        model("push", str(other_artefact(tmp_path / "other", threshold=0.9))).output.split("is version ")[1].split()[0]
    )
    assert model("load", number).exception is None
    monkeypatch.setenv("VIGILIA_TRITON_URLS", triton_server.grpc)
    assert "not ready: the server does not know it" in str(states(model)[int(number)][3])
