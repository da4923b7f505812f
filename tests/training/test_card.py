"""The model card says what run, manifest and results say, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from inference.artefact import MANIFEST, file_hash, load_artefact, shipped_folder
from streams.errors import ConfigurationError

pytest.importorskip("onnx", reason="no onnx: training needs the extra `train`")

STAMP = {"command": "vigilia train evaluate", "date": "2026-11-22", "commit": "abc", "machine": "a machine"}


def results(model: str) -> dict[str, Any]:
    figures = {"sentence F1": [0.861, 0.83, 0.89], "AUROC": [0.978, None, None], "curve": [[0.0] * 2] * 300}
    reference = {"sentence F1": [0.8652, 0.83, 0.89], "AUROC": [0.9785, None, None]}
    return {
        "model": model,
        "parts": {
            "development": {"figures": figures, **STAMP},
            "calibration": {"figures": {"Platt": {"ECE": 0.0123, "bins": [[1]]}}, **STAMP},
            "reference": {"development": {"figures": reference, **STAMP}},
            "notes": {"figures": [], **STAMP},
        },
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder whose weights are those that the artefact in it names."""
    from safetensors.numpy import save_file

    folder = tmp_path / "run"
    artefact = folder / "int8" / "adverse_event"
    (artefact / "1").mkdir(parents=True)
    save_file({"a": np.zeros(1, np.float32)}, str(folder / "model.safetensors"))
    for name in ("1/model.onnx", "tokenizer.json"):
        (artefact / name).write_bytes((shipped_folder() / name).read_bytes())
    manifest = json.loads((shipped_folder() / MANIFEST).read_text())
    manifest["files"] = {name: file_hash(artefact / name) for name in ("1/model.onnx", "tokenizer.json")}
    manifest["first_stage"] = None
    manifest["trained"] |= {"weights": file_hash(folder / "model.safetensors"), "precision": "int8"}
    (artefact / MANIFEST).write_text(json.dumps(manifest))
    stage = {"name": "half the negatives", "epochs": 3, "rate": 1.5e-4}
    recipe = {"base": "minilm", "seed": 7, "stages": [stage], "data": {"ade_corpus_v2/DRUG-AE.rel": "d1g3st"}}
    (folder / "recipe.json").write_text(json.dumps(recipe | {"sentences": {"training": 15776}}))
    (folder / "fit.jsonl").write_text(
        '{"event": "data", "seconds": 1, "training": 9}\n{"event": "x", "seconds": 600}\n'
    )
    outputs = {name: {"largest": 0.5, "mean": 0.01} for name in ("sentence", "drug", "effect", "pair")}
    parity = {"sentences": 64, "same_labels": 0.9928, "outputs": outputs}
    (folder / "int8" / "parity.json").write_text(json.dumps(parity))
    return folder


def ask(run: Path, **changes: Any) -> tuple[Path, Path]:
    from training.export.card_command import command

    artefact = run / "int8" / "adverse_event"
    (run / "results.json").write_text(json.dumps(results(load_artefact(artefact).model) | changes))
    page = run / "docs" / "model-card.md"
    given = [
        "--run",
        str(run),
        "--artefact",
        str(artefact),
        "--results",
        str(run / "results.json"),
        "--page",
        str(page),
    ]
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return artefact / "card.json", page


def test_the_card_for_programs_holds_every_source_word_for_word(run: Path) -> None:
    path, _ = ask(run)
    card = json.loads(path.read_text())
    artefact = load_artefact(path.parent)
    assert card["model"] == artefact.model
    assert card["files"]["1/model.onnx"] == file_hash(artefact.onnx)
    assert card["files"][MANIFEST] == file_hash(path.parent / MANIFEST)
    assert card["files"]["trained weights"] == file_hash(run / "model.safetensors")
    assert card["data"][0]["files"] == {"ade_corpus_v2/DRUG-AE.rel": "d1g3st"}
    assert [corpus["name"] for corpus in card["data"]] == ["ADE-Corpus-V2 without its sealed part"]
    assert card["results"]["development"]["figures"]["sentence F1"] == [0.861, 0.83, 0.89]
    assert "curve" not in card["results"]["development"]["figures"]
    assert card["results"]["development"]["commit"] == "abc"
    assert (card["recipe"]["seed"], card["sentences"], card["fit_seconds"]) == (7, {"training": 15776}, 600)
    assert card["parity"]["int8"]["same_labels"] == 0.9928
    assert card["thresholds"]["pair"] == artefact.manifest.pair_threshold


def test_the_card_for_people_says_the_same(run: Path) -> None:
    path, page = ask(run)
    text = page.read_text()
    card = json.loads(path.read_text())
    for said in (
        f"# Model card: {card['model']}",
        "| sentence F1 | 0.861 [0.830, 0.890] |",
        "| AUROC | 0.978 |",
        "ECE 0.012",
        "int8 against fp32 on the development fold, in points: sentence F1 -0.42, AUROC -0.05.",
        "| int8 | 0.5 (0.01) | 0.5 (0.01) | 0.5 (0.01) | 0.5 (0.01) | 99.28% |",
        "Stage *half the negatives*: epochs 3, rate 0.00015.",
        "training 15,776",
        "The fit took 10 minutes.",
        *card["limits"],
        *card["intended"],
        *card["not_intended"],
        *card["files"].values(),
    ):
        assert said in text, said


def test_a_card_changes_nothing_that_is_verified(run: Path) -> None:
    before = load_artefact(run / "int8" / "adverse_event").model
    ask(run)
    assert load_artefact(run / "int8" / "adverse_event").model == before


def test_results_of_another_artefact_are_refused(run: Path) -> None:
    with pytest.raises(ConfigurationError, match="the results are of another@0"):
        ask(run, model="another@0")


def test_a_run_that_the_artefact_does_not_come_from_is_refused(run: Path) -> None:
    (run / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ConfigurationError, match="its manifest names other weights"):
        ask(run)


def test_a_file_that_is_no_result_is_named(run: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"results\.json: not what `vigilia train evaluate` writes"):
        ask(run, parts=None)
