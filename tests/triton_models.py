"""Models for a tritonserver in tests: copies of the shipped one that differ in what a test is about."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from inference.artefact import MANIFEST, MODEL, TOKENIZER, Artefact, file_hash, load_artefact, shipped_folder
from training.export.triton import state_manifest

POISON = "zzpoisonzz"  # a word whose piece is outside the vocabulary of the graph, in the copy that `poisoned` makes
CONFIGURATION = "configs/cpu.pbtxt"


def serve_as(repository: Path, name: str, change: Callable[[str], str] = str, artefact: Path | None = None) -> Path:
    """A model called `name` in the repository, its configuration changed; the model's folder."""
    source, folder = artefact or shipped_folder(), repository / name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.onnx"))
    (folder / MODEL).symlink_to(source / MODEL)
    text = (folder / CONFIGURATION).read_text().replace('name: "adverse_event"', f'name: "{name}"', 1)
    digest = file_hash(folder / MANIFEST)
    text = re.sub(r'(key: "vigilia\.1" value: \{ string_value: )"\w*"', rf'\1"{digest}"', text)
    (folder / CONFIGURATION).write_text(change(text))
    return folder


def poisoned(folder: Path) -> Artefact:
    """A copy of the shipped artefact for which a text with the word POISON makes the graph fail."""
    shutil.copytree(shipped_folder(), folder)
    tokenizer = json.loads((folder / TOKENIZER).read_text())
    added = {"content": POISON, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokenizer["added_tokens"].append({"id": len(tokenizer["model"]["vocab"]), **added, "special": False})
    (folder / TOKENIZER).write_text(json.dumps(tokenizer))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][TOKENIZER] = file_hash(folder / TOKENIZER)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return load_artefact(folder)


def other_artefact(folder: Path, **changes: object) -> Path:
    """A copy of the shipped artefact with another manifest: another hash, the same answers. Returns `folder`."""
    shutil.copytree(shipped_folder(), folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))
    state_manifest(folder, file_hash(folder / MANIFEST))
    return folder


def with_other_weights(folder: Path) -> None:
    """Make the graph of a served model answer otherwise: every sentence's logit is 3 too high."""
    graph = onnx.load(str(folder / MODEL))
    last = next(node for node in graph.graph.node if "sentence" in node.output)
    last.output[0] = "sentence_before"
    graph.graph.initializer.append(numpy_helper.from_array(np.float32([3.0]), "three"))
    graph.graph.node.append(helper.make_node("Add", ["sentence_before", "three"], ["sentence"]))
    (folder / MODEL).unlink()
    onnx.save(graph, str(folder / MODEL))
