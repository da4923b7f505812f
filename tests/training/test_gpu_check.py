"""The comparing part of `make gpu-check`, against a server on CPU; and the model that it makes of the shipped one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx: training needs the extra `train`")

from inference.artefact import Artefact, load_artefact, shipped_folder  # noqa: E402
from training import gpu_check  # noqa: E402
from training.export.artefacts import rebuilt  # noqa: E402
from training.export.dequantise import weights_of  # noqa: E402
from training.export.graph import build  # noqa: E402


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(gpu_check, "ROWS", (1, 3))
    monkeypatch.setattr(gpu_check, "CACHE", tmp_path_factory.mktemp("check"))


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return rebuilt(load_artefact(), tmp_path_factory.mktemp("halved") / "adverse_event", "fp16")


@pytest.fixture(scope="module")
def server(triton_tool: ModuleType, halved: Artefact) -> Iterator[Any]:
    """A server of the float16 model with the CPU configuration."""
    with triton_tool.Server(halved.folder.parent) as server:
        yield server


def tensors(model: Any) -> dict[str, np.ndarray]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_the_weights_of_the_shipped_graph_make_the_same_graph_again() -> None:
    shipped = onnx.load(shipped_folder() / "1" / "model.onnx")
    again = build(*weights_of(shipped_folder() / "1" / "model.onnx"), "int8")
    assert [node.SerializeToString() for node in again.graph.node] == [
        node.SerializeToString() for node in shipped.graph.node
    ]
    found, wanted = tensors(again), tensors(shipped)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        if values.dtype == np.int8:
            assert (found[name] == values).all(), name
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)


def test_graphs_of_other_weights_have_other_names() -> None:
    """TensorRT's engines lie in the cache under the graph's name: two versions must not share one."""
    weights, shape = weights_of(shipped_folder() / "1" / "model.onnx")
    same, other = build(weights, shape, "fp16"), build(weights | {"pair_bias": weights["pair_bias"] + 1}, shape, "fp16")
    assert build(weights, shape, "fp16").graph.name == same.graph.name
    assert other.graph.name != same.graph.name


def test_batches_have_every_length_and_rows_of_several_lengths() -> None:
    manifest = load_artefact().manifest
    found = list(gpu_check.batches(load_artefact()))
    assert {batch.ids.shape[1] for batch in found} == set(
        range(manifest.length_step, manifest.max_length + 1, manifest.length_step)
    )
    assert {len(batch.ids) for batch in found} == {1, 3}
    assert all((batch.mask.sum(axis=1) > batch.ids.shape[1] - manifest.length_step).all() for batch in found[4:])
    assert any(len(set(batch.mask.sum(axis=1))) > 1 for batch in found)


def test_a_server_of_the_float16_model_is_within_the_tolerances(
    server: Any, halved: Artefact, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main(["--server", server.grpc]) == 0
    out = capsys.readouterr().out
    assert halved.model in out
    assert "ok: within the tolerances of fp16" in out


def test_a_server_of_other_weights_is_found_out(triton_server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped int8 model is another by more than float16 may be."""
    assert gpu_check.main(["--server", triton_server.grpc]) == 1
    assert "FAIL: the fp16 graph is not the model" in capsys.readouterr().out


def test_without_docker_or_a_server_the_check_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_check.main([]) == 2
    assert "docker" in capsys.readouterr().err
    assert gpu_check.main(["--server", "127.0.0.1:1"]) == 2
