"""`vigilia classify` with the shipped model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.artefact import shipped_folder

VIGILIA = [sys.executable, "-m", "streams.cli", "classify"]
TEXT = "Severe rash after amoxicillin. She takes ibuprofen for pain."

pytestmark = pytest.mark.skipif(not shipped_folder().is_dir(), reason="no model in the package: `make train` makes one")


def classify(*lines: str, options: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "VIGILIA_LOG_LEVEL": "warning", **environment}
    return subprocess.run(
        [*VIGILIA, *options], input="\n".join(lines), capture_output=True, text=True, check=False, env=given
    )


def test_each_line_has_its_answer_in_order_with_positions_in_the_text() -> None:
    result = classify(json.dumps({"id": "a", "text": TEXT}), "", json.dumps({"id": 2, "text": "The weather was fine."}))
    assert (result.returncode, result.stderr) == (0, "")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["id"], second["id"]) == ("a", 2)
    assert set(first) == {"id", "probability", "verdict", "spans", "pairs"}
    assert (first["verdict"], second["verdict"]) == ("ADE", "not")
    assert first["probability"] > 0.5 > second["probability"]
    assert {(span["label"], span["text"]) for span in first["spans"]} >= {
        ("DRUG", "amoxicillin"),
        ("EFFECT", "Severe rash"),
    }
    for span in first["spans"]:
        assert TEXT[span["start"] : span["end"]] == span["text"]
    assert second["pairs"] == []


def test_words_are_explained_and_a_stricter_error_rate_leaves_more_open() -> None:
    line = json.dumps({"id": 1, "text": TEXT})
    result = classify(line, options=["--explain", "--error-rate", "0.0005"])
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer["verdict"] == "can't tell"  # fewer than 2,000 calibration sentences rule nothing out
    first, second = answer["sentences"]
    assert TEXT[second["start"] : second["end"]] == "She takes ibuprofen for pain."
    for sentence in (first, second):
        added = sum(word["attribution"] for word in sentence["words"])
        assert added == pytest.approx(sentence["logit"] - sentence["baseline"], abs=1e-4)
        assert all(TEXT[word["start"] : word["end"]] == word["text"] for word in sentence["words"])
    most = sorted(first["words"], key=lambda word: -word["attribution"])
    assert {word["text"] for word in most[:2]} & {"rash", "amoxicillin"}


def test_an_error_rate_of_a_half_is_wrong_usage() -> None:
    assert classify(options=["--error-rate", "0.5"]).returncode == 2


def test_a_line_that_is_no_text_is_an_error_that_names_it_after_the_lines_before_were_answered() -> None:
    result = classify(json.dumps({"id": 1, "text": TEXT}), '{"id": 2, "text": "Mrs Quellwasser')
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.startswith("vigilia: unreadable: line 2")
    assert "Quellwasser" not in result.stderr


def test_a_folder_without_a_model_is_status_2(tmp_path: Path) -> None:
    result = classify(VIGILIA_MODEL_FOLDER=str(tmp_path))
    assert result.returncode == 2
    assert "no model in" in result.stderr
    assert "what to do: point VIGILIA_MODEL_FOLDER" in result.stderr
