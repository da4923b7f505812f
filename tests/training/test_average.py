"""The mean of runs: their weights, tensor by tensor, whatever order their vocabularies are in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.tiny import SPECIAL, WORDS, model, tokenizer_json

torch = pytest.importorskip("torch")


def run(folder: Path, seed: int, pieces: list[str] | None = None, **recipe: Any) -> Path:
    """What a fit leaves: random weights over a vocabulary."""
    from training.model import save

    tokenizer = tokenizer_json(pieces)
    folder.mkdir()
    save(model(seed=seed, pieces=len(json.loads(tokenizer)["model"]["vocab"])), folder)
    (folder / "tokenizer.json").write_text(tokenizer)
    (folder / "recipe.json").write_text(json.dumps({"fold": 0, "identity": folder.name, "stages": [], **recipe}))
    return folder


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_every_weight_is_the_mean_of_the_runs(tmp_path: Path) -> None:
    from training.average import average

    runs = [run(tmp_path / name, seed) for seed, name in enumerate("abc")]
    mean, parts = weights(average(runs, tmp_path / "mean")), [weights(folder) for folder in runs]
    for name, tensor in mean.items():
        assert torch.allclose(tensor, sum(part[name] for part in parts) / 3, atol=1e-6), name
    record = json.loads((tmp_path / "mean" / "recipe.json").read_text())
    assert [part["identity"] for part in record["averaged"]] == ["a", "b", "c"]
    assert record["identity"] not in "abc"


def test_a_piece_is_averaged_with_itself_wherever_it_stands_in_the_other_vocabulary(tmp_path: Path) -> None:
    from training.average import TABLE, average

    pieces = [*SPECIAL, *dict.fromkeys(WORDS), "only-here"]
    others = [*SPECIAL, *reversed(pieces[len(SPECIAL) : -1]), "only-there"]
    first, other = run(tmp_path / "a", 1, pieces), run(tmp_path / "b", 2, others)
    mean = weights(average([first, other], tmp_path / "mean"))[TABLE]
    for index, piece in enumerate(pieces):
        row = weights(first)[TABLE][index]
        if piece in others:
            row = (row + weights(other)[TABLE][others.index(piece)]) / 2
        assert torch.allclose(mean[index], row), piece


@pytest.mark.parametrize(("second", "said"), [({"fold": 3}, "held out different folds"), (None, "two runs or more")])
def test_what_can_not_be_averaged_is_refused(tmp_path: Path, second: dict[str, Any] | None, said: str) -> None:
    from training.average import average
    from training.fit.recipe import RecipeError

    runs = [run(tmp_path / "a", 1), *([run(tmp_path / "b", 2, **second)] if second else [])]
    with pytest.raises(RecipeError, match=said):
        average(runs, tmp_path / "mean")
