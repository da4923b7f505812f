"""The runner over folds on a tiny model that is trained for real, and the page that is written from results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams.cli import main
from streams.errors import ConfigurationError
from tests.training.tiny import base_folder, data_folder
from training.data import fold_of, load_ade, split_ade
from training.evaluate.folds import chosen_folds, exported, fit_by_command, options_of, read_folds, run_folds

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")
pytest.importorskip("transformers", reason="no transformers: training needs the extra `train`")
pytest.importorskip("onnx", reason="no onnx: training needs the extra `train`")

FOLDS = (1, 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` and `base`."""
    folder = tmp_path_factory.mktemp("folds")
    data_folder(folder / "data", 700)
    base_folder(folder / "base")
    return folder


@pytest.fixture(scope="module")
def folds(place: Path) -> Path:
    """Two finished folds, fitted by the command line in processes of their own."""
    fixed = ["--data", str(place / "data"), "--base", str(place / "base"), "--precision", "fp32", "--threads", "1"]
    fit = fit_by_command([*fixed, "--vocabulary", "100", "--augmented", "0", "--epochs", "1", "--limit", "150"])
    run_folds(FOLDS, place / "out", place / "data", fit, exported("fp32", 1), threads=1)
    return place / "out"


def test_a_fold_is_judged_on_its_own_documents(folds: Path, place: Path) -> None:
    for fold in FOLDS:
        record = json.loads((folds / f"{fold}.json").read_text())
        documents = record["rows"]["document"]
        expected = split_ade(load_ade(place / "data" / "ade_corpus_v2"), fold).development
        assert documents == [s.document for s in expected]
        assert {fold_of(document) for document in documents} == {fold}
        assert json.loads((folds / f"fold-{fold}" / "recipe.json").read_text())["fold"] == fold
        assert record["seconds"]["fit"] > 0
        assert record["commit"]


def test_finished_folds_are_skipped(folds: Path, place: Path) -> None:
    def fit(fold: int, out: Path) -> None:
        raise AssertionError((fold, out))

    run_folds(FOLDS, folds, place / "data", fit, exported("fp32"))


def test_a_fold_whose_fit_is_done_is_only_measured_again(folds: Path, place: Path) -> None:
    before = json.loads((folds / "1.json").read_text())
    (folds / "1.json").unlink()

    def fit(fold: int, out: Path) -> None:
        raise AssertionError((fold, out))

    run_folds([1], folds, place / "data", fit, exported("fp32", 1), threads=1)
    after = json.loads((folds / "1.json").read_text())
    assert after["rows"] == before["rows"]
    assert after["figures"] == before["figures"]


def test_pooled_figures_recount(folds: Path) -> None:
    found = read_folds(folds)
    true = false = missed = 0
    hits = np.zeros(3, dtype=int)
    for fold in FOLDS:
        rows = json.loads((folds / f"{fold}.json").read_text())["rows"]
        for positive, probability, threshold in zip(
            rows["positive"], rows["probability"], rows["threshold"], strict=True
        ):
            called = probability >= threshold
            true, false, missed = (
                true + (called and positive),
                false + (called > positive),
                missed + (called < positive),
            )
        hits += np.array([h for h, y in zip(rows["hits"]["DRUG F1"], rows["positive"], strict=True) if y]).sum(axis=0)
    value, low, high = found["pooled"]["sentence F1"]
    assert value == pytest.approx(2 * true / (2 * true + false + missed))
    assert low <= value <= high
    assert found["pooled"]["DRUG F1"][0] == pytest.approx(2 * hits[0] / (2 * hits[0] + hits[1] + hits[2]))
    assert sorted(found["each"]) == ["1", "3"]


def test_a_teacher_that_read_the_fold_is_refused(tmp_path: Path) -> None:
    for fold in (0, 1):
        (tmp_path / f"teacher-{fold}").mkdir()
        (tmp_path / f"teacher-{fold}" / "recipe.json").write_text(json.dumps({"fold": fold}))
    good = ["--teacher", str(tmp_path / "teacher-{fold}")]
    assert options_of(good, 1) == ["--teacher", str(tmp_path / "teacher-1")]
    with pytest.raises(ConfigurationError, match="has read fold 1"):
        options_of([f"--teacher={tmp_path / 'teacher-0'}"], 1)
    with pytest.raises(ConfigurationError, match=r"no teacher's recipe\.json"):
        options_of(good, 2)
    with pytest.raises(ConfigurationError, match="runner's own"):
        options_of(["--fold", "3"], 1)


@pytest.mark.parametrize("text", ["", "10", "a", "3-", "-1", "2-12"])
def test_folds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        chosen_folds(text)


# ---------------------------------------------------------------- command and page


def test_evaluate_writes_figures_page_and_plots(folds: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artefact = folds / "fold-1" / "fp32" / "adverse_event"
    page = place / "docs" / "model.md"
    options = ["train", "evaluate", "--artefact", str(artefact), "--data", str(place / "data"), "--threads", "1"]
    parts = ["--parts", "development,calibration,psytar", "--page", str(page)]
    assert main([*options, *parts, "--reference", str(artefact), "--folds", str(folds)]) == 0
    assert "sentence F1" in capsys.readouterr().out
    text = page.read_text()
    results = json.loads((page.with_suffix("") / "results.json").read_text())
    assert results["model"] in text
    for name in ("reliability", "precision-recall"):
        assert (page.with_suffix("") / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "loss by int8 (points of F1) | 0.0 |" in text
    assert "Folds 1, 3;" in text
    for part in ("development", "calibration", "psytar"):
        stamp = results["parts"][part]
        assert {"command", "date", "commit", "machine", "seconds"} <= stamp.keys()
        assert stamp["commit"] in text
    # one part anew: the others stay
    assert main([*options, "--parts", "psytar", "--out", str(page.with_suffix("") / "results.json")]) == 0
    again = json.loads((page.with_suffix("") / "results.json").read_text())["parts"]
    assert again["development"] == results["parts"]["development"]
    assert again["psytar"]["figures"] == results["parts"]["psytar"]["figures"]


def test_a_part_that_there_is_not_is_wrong_usage(folds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "evaluate", "--data", str(folds), "--parts", "spelling"]) == 2
    assert "no such part: spelling" in capsys.readouterr().err


def test_targets_that_are_missed_are_named() -> None:
    from training.evaluate.report import page

    figures = {"sentence F1": [0.83, 0.8, 0.86], "AUROC": [0.98, 0.97, 0.99], "DRUG F1": [0.89, 0.8, 0.9]}
    about: dict[str, Any] = {"command": "c", "date": "d", "commit": "abc", "machine": "m"}
    parts = {
        "artefact": {"figures": {"megabytes": 13.0}, **about},
        "development": {"figures": figures, "seconds": 1.0, **about},
    }
    text = page({"model": "ade@1", "parts": parts})
    assert "Below the first target: DRUG F1." in text
    assert "Below the second target: sentence F1, DRUG F1, size in the repository (MB)." in text
    assert "`c`, d, commit abc, m, 1 s." in text
