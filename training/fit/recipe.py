"""What decides the weights beside data and base model: stages, rates, weights of losses. Checked before anything runs.

The shipped recipes are `student` (what is served), `teacher` (what the student learns from) and `further` (a student
that goes on, with `--start`, when there are new sentences). All end
on all negatives and patients' posts: a model that saw half of the negatives ends with the wrong prior, and a teacher
that never read patients' language is wrong about it (F1 .06 on PsyTAR).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from training.data import FOLDS, FURTHER, SEED

PRECISIONS = ("fp32", "bf16", "fp16")
RECORDED = frozenset(
    {"data", "own", "sentences", "base_sha256", "teachers", "start", "limit", "versions", "identity", "averaged"}
)


class RecipeError(ValueError):
    """A recipe, or what it is to be run with, can't work; the message says what to change."""


@dataclass(frozen=True)
class Stage:
    """One stage: what it reads, for how long and how fast.

    `negatives` is the share of the corpus's negatives; `augmented` the number of made sentences as a share of the
    stage's corpus sentences; `unlabelled` whether sentences that only the teachers labelled take part.
    """

    name: str
    negatives: float
    psytar: bool
    epochs: int
    rate: float
    head_rate: float
    augmented: float = 0.0
    unlabelled: bool = False


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, beside data, teachers and base model."""

    stages: tuple[Stage, ...] = field(default=())
    base: str = "minilm"
    corpora: tuple[str, ...] = ()  # beside ADE-Corpus: phee, ncbi
    seed: int = SEED
    fold: int = 0
    batch: int = 16
    accumulate: int = 1  # batches an optimiser step
    max_length: int = 96
    vocabulary: int | None = None  # cut the base's pieces to so many before training; None = all
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 1.0
    layer_decay: float = 1.0  # each layer below the top learns this much slower than the one above it
    freeze_layers: int = 0  # so many of the lowest layers, and the embeddings, stay as they are
    lora_rank: int = 0  # 0 = train the whole encoder; else adapters of this rank, merged at the end
    ema: float = 0.0  # decay of the running mean of weights that is kept instead of the last ones; 0 = off
    span_weight: float = 0.5
    pair_weight: float = 0.5
    negative_spans: bool = False  # learn spans from negative sentences that have them marked
    distil_weight: float = 0.5  # share of the teachers' opinion in the target, where there are teachers
    correct_prior: bool = True  # shift the logit of a teacher whose last stage left negatives out
    unlabelled: int = 0  # sentences without labels that the teachers label
    varied: float = 0.0  # variants of corpus sentences that the teachers label, as a share of the corpus
    held: float = 0.0  # share of the training documents held out for early stopping
    patience: int = 0  # end a stage after so many epochs without a lower loss on what is held; 0 = never
    precision: str = "fp32"

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise RecipeError("; ".join(problems))


def _problems(recipe: Recipe) -> list[str]:
    """All that is wrong with a recipe, in words."""
    found = []

    def check(right: bool, problem: str) -> None:
        if not right:
            found.append(problem)

    check(bool(recipe.stages), "stages: there is none")
    for stage in recipe.stages:
        check(stage.epochs >= 1, f"stage {stage.name!r}: epochs = {stage.epochs}, must be 1 or more")
        check(0 <= stage.negatives <= 1, f"stage {stage.name!r}: negatives = {stage.negatives}, must lie in 0..1")
        check(0 <= stage.augmented <= 5, f"stage {stage.name!r}: augmented = {stage.augmented}, must lie in 0..5")
        check(stage.rate > 0 and stage.head_rate > 0, f"stage {stage.name!r}: rates must be above 0")
    for name in ("batch", "accumulate"):
        check(getattr(recipe, name) >= 1, f"{name} = {getattr(recipe, name)}, must be 1 or more")
    check(
        recipe.vocabulary is None or recipe.vocabulary >= 100, f"vocabulary = {recipe.vocabulary}, must be 100 or more"
    )
    for name in ("freeze_layers", "lora_rank", "unlabelled", "varied", "patience", "weight_decay"):
        check(getattr(recipe, name) >= 0, f"{name} = {getattr(recipe, name)}, must be 0 or more")
    for name in ("warm_up", "distil_weight"):
        check(0 <= getattr(recipe, name) <= 1, f"{name} = {getattr(recipe, name)}, must lie in 0..1")
    for name in ("ema", "held"):
        check(0 <= getattr(recipe, name) < 1, f"{name} = {getattr(recipe, name)}, must lie in 0..1, 1 excluded")
    check(0 < recipe.layer_decay <= 1, f"layer_decay = {recipe.layer_decay}, must lie in 0..1, 0 excluded")
    check(0 <= recipe.fold < FOLDS, f"fold = {recipe.fold}, must lie in 0..{FOLDS - 1}")
    check(8 <= recipe.max_length <= 512, f"max_length = {recipe.max_length}, must lie in 8..512")
    check(recipe.precision in PRECISIONS, f"precision = {recipe.precision!r}, must be one of {', '.join(PRECISIONS)}")
    for name in recipe.corpora:
        check(name in FURTHER, f"corpora: {name!r} is none of {', '.join(FURTHER)}")
    check(not recipe.patience or recipe.held > 0, "patience needs held above 0: early stopping looks at held documents")
    check(not (recipe.lora_rank and recipe.freeze_layers), "lora_rank and freeze_layers: choose one")
    return found


RECIPES = {
    "student": Recipe(
        stages=(
            Stage("half the negatives", 0.5, False, 3, 2e-4, 1e-3, augmented=0.4),
            Stage("all negatives and PsyTAR", 1.0, True, 2, 1e-4, 4e-4, augmented=0.4, unlabelled=True),
        ),
        batch=32,
        vocabulary=9000,
        pair_weight=1.0,
    ),
    "teacher": Recipe(
        stages=(
            Stage("half the negatives", 0.5, False, 2, 4e-5, 5e-4),
            Stage("all negatives and PsyTAR", 1.0, True, 1, 2e-5, 2e-4, augmented=0.25),
        ),
        base="mpnet",
        layer_decay=0.9,
    ),
    "further": Recipe(
        stages=(
            Stage("made sentences", 0.5, True, 1, 1.2e-4, 2.5e-4, augmented=4.0),
            Stage("made sentences beside all", 1.0, True, 1, 5e-5, 1e-4, augmented=1.5, unlabelled=True),
        ),
        batch=32,
        pair_weight=1.0,
    ),
}


def as_record(recipe: Recipe) -> dict[str, Any]:
    """The recipe as `recipe.json` has it."""
    return asdict(recipe)


def from_record(record: dict[str, Any]) -> Recipe:
    """A recipe from its record; what a run adds to it (data, hashes, versions) is passed over.

    Raises RecipeError for a field that does not exist or has the wrong type.
    """
    unknown = sorted(set(record) - {f.name for f in fields(Recipe)} - RECORDED)
    if unknown:
        raise RecipeError(f"no such field in a recipe: {', '.join(unknown)}")
    given = {name: value for name, value in record.items() if name not in RECORDED}
    try:
        return msgspec.convert(given, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(str(error)) from error


def read_recipe(name: str) -> Recipe:
    """A shipped recipe by its name, or one from a JSON file: one that you wrote, or the recipe.json of a run."""
    if name in RECIPES:
        return RECIPES[name]
    path = Path(name)
    if not path.is_file():
        raise RecipeError(f"{name}: neither one of {', '.join(RECIPES)} nor a file")
    try:
        return from_record(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, RecipeError) as error:
        raise RecipeError(f"{path}: {error}") from error


def changed(recipe: Recipe, epochs: int | None = None, augmented: float | None = None, **values: Any) -> Recipe:
    """A recipe with some fields replaced (None = as it is); `epochs` and `augmented` go to every stage."""
    stages = recipe.stages
    if epochs is not None:
        stages = tuple(replace(stage, epochs=epochs) for stage in stages)
    if augmented is not None:
        stages = tuple(replace(stage, augmented=augmented) for stage in stages)
    return replace(recipe, stages=stages, **{name: value for name, value in values.items() if value is not None})
