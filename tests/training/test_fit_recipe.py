"""Recipes: what can't work is refused before anything runs, and a run's record is a recipe again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_a_record_reads_back_as_the_recipe(name: str, tmp_path: Path) -> None:
    from training.fit.recipe import RECIPES, as_record, read_recipe

    record = {**as_record(RECIPES[name]), "data": {}, "identity": "x", "versions": {}}  # as recipe.json of a run has it
    (tmp_path / "recipe.json").write_text(json.dumps(record))
    assert read_recipe(str(tmp_path / "recipe.json")) == RECIPES[name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stages": ()}, "stages: there is none"),
        ({"batch": 0}, "batch = 0, must be 1 or more"),
        ({"fold": 10}, "fold = 10, must lie in 0..9"),
        ({"ema": 1.0}, "ema = 1.0, must lie in 0..1, 1 excluded"),
        ({"layer_decay": 0.0}, "layer_decay = 0.0"),
        ({"vocabulary": 12}, "vocabulary = 12, must be 100 or more"),
        ({"max_length": 1000}, "max_length = 1000, must lie in 8..512"),
        ({"precision": "int8"}, "precision = 'int8', must be one of fp32, bf16, fp16"),
        ({"corpora": ("biored",)}, "corpora: 'biored' is none of"),
        ({"patience": 1}, "patience needs held above 0"),
        ({"lora_rank": 2, "freeze_layers": 2}, "choose one"),
    ],
)
def test_a_recipe_that_cannot_work_says_why(change: dict[str, Any], said: str) -> None:
    from training.fit.recipe import RECIPES, RecipeError

    with pytest.raises(RecipeError) as caught:
        replace(RECIPES["student"], **change)
    assert said in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    from training.fit.recipe import Recipe, RecipeError, Stage

    with pytest.raises(RecipeError) as caught:
        Recipe(stages=(Stage("only", 1.5, False, 0, 1e-4, 1e-3),), batch=0)
    assert str(caught.value).count(";") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"stages": [], "batches": 3}', "no such field in a recipe: batches"),
        ('{"stages": 3}', "$.stages"),
        ('{"stages": [], "batch": "sixteen"}', "$.batch"),
        ("{", "Expecting"),
    ],
)
def test_a_recipe_file_that_does_not_read_names_file_and_field(text: str, said: str, tmp_path: Path) -> None:
    from training.fit.recipe import RecipeError, read_recipe

    (tmp_path / "ours.json").write_text(text)
    with pytest.raises(RecipeError, match=r"ours\.json: ") as caught:
        read_recipe(str(tmp_path / "ours.json"))
    assert said in str(caught.value)


def test_options_change_fields_and_leave_the_others() -> None:
    from training.fit.recipe import RECIPES, changed

    student = RECIPES["student"]
    assert changed(student) == student
    other = changed(student, epochs=7, augmented=0.0, seed=4, base=None)
    assert {stage.epochs for stage in other.stages} == {7}
    assert {stage.augmented for stage in other.stages} == {0.0}
    assert other == replace(student, stages=other.stages, seed=4)


def test_a_terminal_gets_a_bar_and_programs_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.fit.log import Log

    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take a pipe for a terminal
    log = Log(tmp_path, board=False)
    log.start("a stage", 100)
    for step in range(1, 101):
        log.step("a stage", 0, step, 100, [0.5] * step, 1e-3)
    log.close()
    shown = capsys.readouterr().err
    assert "100/100" in shown
    assert "loss 0.500" in shown
    assert "event=" not in shown
    records = [json.loads(line) for line in (tmp_path / "fit.jsonl").read_text().splitlines()]
    assert [(r["event"], r["step"], r["loss"]) for r in records] == [("step", 50, 0.5), ("step", 100, 0.5)]
