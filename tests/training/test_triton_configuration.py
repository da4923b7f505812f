"""Triton's side of the artefact: what is shipped is what the export writes, and it fits the artefact."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.request
from pathlib import Path
from types import ModuleType

from tokenizers import Tokenizer

from inference.artefact import MANIFEST, TOKENIZER, file_hash, load_artefact, shipped_folder
from inference.triton.versions import Versions, read_versions
from training.export.artefacts import LENGTH_STEP, WARM_UP
from training.export.triton import CONFIGURATIONS, state_manifest, write_configurations

SHIPPED = shipped_folder()


def test_the_shipped_configurations_are_what_the_export_writes(tmp_path: Path) -> None:
    manifest = load_artefact().manifest
    assert manifest.length_step == LENGTH_STEP
    warm_up = Tokenizer.from_file(str(SHIPPED / TOKENIZER)).encode(WARM_UP).ids
    write_configurations(tmp_path, warm_up, manifest.length_step, manifest.max_length)
    state_manifest(tmp_path, file_hash(SHIPPED / MANIFEST))
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {*map(Path, CONFIGURATIONS), Path("warmup/input_ids"), Path("warmup/attention_mask")}
    for name in written:
        assert (tmp_path / name).read_bytes() == (SHIPPED / name).read_bytes(), name


def test_both_configurations_name_the_manifest_of_the_shipped_version() -> None:
    for name in CONFIGURATIONS:
        versions = read_versions((SHIPPED / name).read_text("utf-8"))
        assert versions == Versions({1: file_hash(SHIPPED / MANIFEST)}, served=(1,), history=(1,))


def test_tensorrt_is_made_ready_for_every_shape_that_is_sent() -> None:
    """Requests hold up to 64 rows of a multiple of the artefact's step, its longest window included."""
    manifest = load_artefact().manifest
    text = (SHIPPED / "config.pbtxt").read_text("utf-8")
    shapes = re.findall(r'"trt_profile_(\w+)_shapes" value: "input_ids:(\d+)x(\d+),attention_mask:(\d+)x(\d+)"', text)
    assert [kind for kind, *_ in shapes] == ["min", "opt", "max"]
    least, usual, most = (tuple(map(int, sizes)) for _, *sizes in shapes)
    assert least == (1, manifest.length_step) * 2
    assert most[:2] == most[2:] == (64, -(-manifest.max_length // manifest.length_step) * manifest.length_step)
    assert all(low <= middle <= high for low, middle, high in zip(least, usual, most, strict=True))


def test_a_real_server_reads_the_production_configuration_up_to_the_missing_gpu(
    triton_tool: ModuleType, tmp_path: Path
) -> None:
    """It is refused for want of a GPU alone; with the instances on CPU the server reports every value of it."""
    shutil.copytree(SHIPPED, tmp_path / "adverse_event")
    path = tmp_path / "adverse_event" / "config.pbtxt"
    text = path.read_text("utf-8")
    server = triton_tool.Server(tmp_path, configuration="")
    try:
        server.start(ready=False)
        deadline = time.monotonic() + 60
        while (refused := re.search(r"E\d{4} .*adverse_event.*", server.log())) is None:
            assert time.monotonic() < deadline, server.log()[-1000:]
            time.sleep(0.1)
        assert "GPU" in refused[0], refused[0]
        assert "parsing" not in refused[0], refused[0]
        path.write_text(text.replace("KIND_GPU", "KIND_CPU"), "utf-8")
        server.restart()
        with urllib.request.urlopen(f"http://{server.http}/v2/models/adverse_event/config", timeout=10) as answer:
            reported = json.load(answer)
    finally:
        server.close()
    (accelerator,) = reported["optimization"]["execution_accelerators"]["gpu_execution_accelerator"]
    assert accelerator["name"] == "tensorrt"
    assert accelerator["parameters"] == dict(
        re.findall(r'^ +parameters \{ key: "(\w+)" value: "([^"]+)" \}', text, re.M)
    )
    assert accelerator["parameters"]["precision_mode"] == "FP16"
    policy = reported["dynamic_batching"]["default_queue_policy"]
    assert (policy["timeout_action"], policy["max_queue_size"], policy["allow_timeout_override"]) == (
        "REJECT",
        256,
        True,
    )
    assert reported["parameters"]["vigilia.1"]["string_value"] == file_hash(SHIPPED / MANIFEST)
    assert reported["version_policy"] == {"specific": {"versions": [1]}}
