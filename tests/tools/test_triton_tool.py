"""The real tritonserver of the tests: what it serves, and that it survives what tests do to it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from inference.artefact import shipped_folder


def infer(server: Any, ids: list[list[int]], timeout: float = 10) -> dict[str, np.ndarray]:
    """One request over HTTP, with what the standard library has."""
    shape = [len(ids), len(ids[0])]
    data = [piece for row in ids for piece in row]
    inputs = [
        {"name": name, "datatype": "INT64", "shape": shape, "data": values}
        for name, values in (("input_ids", data), ("attention_mask", [1] * len(data)))
    ]
    request = urllib.request.Request(
        f"http://{server.http}/v2/models/adverse_event/infer", json.dumps({"inputs": inputs}).encode()
    )
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        outputs = json.load(answer)["outputs"]
    return {found["name"]: np.array(found["data"], np.float32).reshape(found["shape"]) for found in outputs}


def test_the_production_folder_is_served_and_answers_as_onnxruntime_does(triton_server: Any) -> None:
    ids = [[101, 2000 + row, 3000, 102] for row in range(5)]
    session = ort.InferenceSession(shipped_folder() / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    given = {"input_ids": np.array(ids, np.int64), "attention_mask": np.ones((5, 4), np.int64)}
    expected = dict(zip(("sentence", "drug", "effect", "pair"), session.run(None, given), strict=True))
    found = infer(triton_server, ids)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_a_request_that_the_graph_refuses_fails_alone(triton_server: Any) -> None:
    outside_the_vocabulary = [[101, 10_000_000, 102]]
    with pytest.raises(urllib.error.HTTPError) as caught:
        infer(triton_server, outside_the_vocabulary)
    assert b"onnx runtime error" in caught.value.read()
    caught.value.close()
    assert infer(triton_server, [[101, 102]])["sentence"].shape == (1, 1)


def test_a_server_without_its_backend_says_it_is_ready_and_answers_nothing(triton_server: Any) -> None:
    triton_server.kill_backend()
    with pytest.raises(urllib.error.HTTPError) as caught:
        infer(triton_server, [[101, 102]])
    caught.value.close()
    assert triton_server.is_ready()
    assert not triton_server.whole


def test_a_killed_server_comes_back_at_the_same_address(triton_server: Any) -> None:
    assert triton_server.whole
    address = triton_server.grpc
    triton_server.kill()
    assert not triton_server.is_ready()
    triton_server.start()
    assert triton_server.grpc == address
    assert infer(triton_server, [[101, 102]])["sentence"].shape == (1, 1)


def test_a_stopped_server_answers_nothing_until_it_may_go_on(triton_server: Any) -> None:
    triton_server.pause()
    with pytest.raises(TimeoutError):
        infer(triton_server, [[101, 102]], timeout=0.5)
    triton_server.resume()
    assert infer(triton_server, [[101, 102]])["sentence"].shape == (1, 1)
