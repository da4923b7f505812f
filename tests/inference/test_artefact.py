"""The artefact is what its manifest says, or it is not loaded."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from tokenizers import Tokenizer

from inference.artefact import MANIFEST, MODEL, TOKENIZER, load_artefact, shipped_folder
from streams.errors import WrongModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "adverse_event"
    shutil.copytree(shipped_folder(), copy)
    return copy


def edit(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_shipped_artefact_is_whole_and_fits_the_repository() -> None:
    artefact = load_artefact()
    assert artefact.model.startswith(f"{artefact.manifest.name}@")
    assert sum(path.stat().st_size for path in artefact.folder.rglob("*")) < 15_000_000


@pytest.mark.parametrize("name", ["config.pbtxt", "configs/cpu.pbtxt"])
def test_tritons_configuration_names_the_graphs_tensors_with_their_types_and_shapes(name: str) -> None:
    artefact = load_artefact()
    session = ort.InferenceSession(artefact.onnx, providers=["CPUExecutionProvider"])
    types = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}
    expected = {
        tensor.name: (types[tensor.type], [-1 if isinstance(d, str) else d for d in tensor.shape[1:]])
        for tensor in (*session.get_inputs(), *session.get_outputs())
    }
    found = re.findall(r'name: "(\w+)" data_type: (\w+) dims: \[([-0-9, ]+)\]', (artefact.folder / name).read_text())
    assert {n: (kind, [int(d) for d in dims.split(",")]) for n, kind, dims in found} == expected


def test_the_warm_up_is_a_sentence_of_the_vocabulary() -> None:
    folder = load_artefact().folder
    ids, mask = (np.fromfile(folder / "warmup" / name, dtype="<i8") for name in ("input_ids", "attention_mask"))
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    assert "clozapine" in tokenizer.decode(ids[mask == 1].tolist()).replace(" ##", "")
    assert len(ids) == len(mask) == 32


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_one_changed_byte_is_a_wrong_model(folder: Path, name: str) -> None:
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    with pytest.raises(WrongModel, match="SHA-256"):
        load_artefact(folder)


@pytest.mark.parametrize("name", [MODEL, TOKENIZER, MANIFEST])
def test_a_missing_file_is_a_wrong_model(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WrongModel, match="No such file"):
        load_artefact(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"files": {}}, "no hash for"),
        ({"threshold": "high"}, "threshold"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_does_not_fit_is_a_wrong_model(folder: Path, changes: dict[str, object], message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(WrongModel, match=message):
        load_artefact(folder)


def test_calibration_is_part_of_the_name(folder: Path) -> None:
    before = load_artefact(folder).model
    edit(folder, threshold=0.123)
    assert load_artefact(folder).model != before


def test_the_operators_configuration_is_not(folder: Path) -> None:
    before = load_artefact(folder).model
    with (folder / "config.pbtxt").open("a") as file:
        file.write("# two instances\n")
    assert load_artefact(folder).model == before


def test_the_model_a_monitor_names_is_found_by_name_and_hash_prefix() -> None:
    model = load_artefact().model
    assert load_artefact(expected=model).model == model
    assert load_artefact(expected=model.partition("@")[0]).model == model
    for other in (model + "0", "other", "other@" + model.partition("@")[2]):
        with pytest.raises(WrongModel, match="the monitor names"):
            load_artefact(expected=other)
