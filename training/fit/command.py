"""`vigilia train fit`, and the options that `python -m training` shares with it. Options change fields of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from streams.errors import ConfigurationError
from training.data import FOLDS, FURTHER, SEED, CorpusError

__all__ = ["command", "fit_options", "run_fit", "told"]

FOLDER = click.Path(path_type=Path, file_okay=False)
GIVEN = click.Path(path_type=Path, file_okay=False, exists=True)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
OF_THE_RECIPE = (
    *(
        "epochs",
        "augmented",
        "unlabelled",
        "varied",
        "distil_weight",
        "correct_prior",
        "vocabulary",
        "batch",
        "accumulate",
    ),
    *("ema", "layer_decay", "freeze_layers", "lora_rank", "held", "patience", "base", "fold", "seed", "corpora"),
)

OPTIONS = (
    click.option("--data", type=FOLDER, default="../shared/data", show_default=True, help="Folder of the corpora."),
    click.option("--out", type=FOLDER, default="training/runs/latest", show_default=True, help="Folder of the run."),
    click.option("--own", type=FILE, multiple=True, help="Your labelled sentences, JSON lines (docs/training.md)."),
    click.option(
        "--recipe",
        default="student",
        show_default=True,
        metavar="NAME|FILE",
        help="student, teacher, further, or a JSON file.",
    ),
    click.option(
        "--corpus",
        "corpora",
        type=click.Choice(sorted(FURTHER)),
        multiple=True,
        default=None,
        help="Train on this corpus too, beside ADE-Corpus and PsyTAR.",
    ),
    click.option("--teacher", "teachers", type=GIVEN, multiple=True, help="A teacher's run; several: averaged."),
    click.option("--start", type=GIVEN, help="Start from an earlier run's weights and vocabulary, not a base."),
    click.option("--base", metavar="NAME|FOLDER", help="minilm, mpnet, or a local Hugging Face folder."),
    click.option("--fold", type=click.IntRange(0, FOLDS - 1), help="Development fold; default: the recipe's, 0."),
    click.option("--seed", type=int, help=f"Of order, dropout and heads, not of folds; {SEED}."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        default="auto",
        show_default=True,
        help="auto: bf16 on GPUs and on CPUs with AMX.",
    ),
    click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads; 0 leaves it to torch."),
    click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out."),
    click.option("--checkpoint-every", type=click.IntRange(0), default=200, show_default=True, metavar="STEPS"),
    click.option("--limit", type=click.IntRange(50), metavar="N", help="N sentences of each corpus: to try it out."),
    click.option("--epochs", type=int, help="Of every stage."),
    click.option("--augmented", type=float, metavar="SHARE", help="Made sentences, per corpus sentence of the stage."),
    click.option("--unlabelled", type=int, metavar="N", help="Sentences that only the teachers label."),
    click.option(
        "--varied", type=float, metavar="SHARE", help="Variants of corpus sentences, labelled by the teachers."
    ),
    click.option("--distil-weight", type=float, metavar="W", help="The teachers' share of the target, 0 to 1."),
    click.option("--correct-prior/--no-correct-prior", default=None, help="Shift teachers that saw fewer negatives."),
    click.option("--vocabulary", type=int, metavar="PIECES", help="Cut the base's vocabulary to so many pieces."),
    click.option("--batch", type=int, help="Sentences a batch."),
    click.option("--accumulate", type=int, metavar="BATCHES", help="Batches a step of the optimiser."),
    click.option("--ema", type=float, metavar="DECAY", help="Keep a running mean of the weights, e.g. 0.999."),
    click.option("--layer-decay", type=float, metavar="FACTOR", help="Each layer learns slower than the one above."),
    click.option("--freeze-layers", type=int, metavar="N", help="Leave the lowest N layers as they are."),
    click.option("--lora-rank", type=int, metavar="R", help="Train adapters of rank R, merged at the end."),
    click.option("--held", type=float, metavar="SHARE", help="Training documents held out for early stopping."),
    click.option("--patience", type=int, metavar="EPOCHS", help="End a stage after so many epochs without gain."),
)


def fit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All options of a fit."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


@contextmanager
def told() -> Iterator[None]:
    """What training raises, as what the command line tells: the operator must change something."""
    from training.bases import BaseModelError
    from training.fit.recipe import RecipeError

    try:
        yield
    except (RecipeError, BaseModelError, CorpusError) as error:
        raise ConfigurationError(str(error)) from error


def run_fit(data: Path, out: Path, recipe: str, precision: str, threads: int, **given: Any) -> Path:
    """Fit as the options say. Raises ConfigurationError if recipe, data or teachers can't work."""
    import torch

    from training.fit.recipe import changed, read_recipe
    from training.fit.run import Settings, chosen_precision, fit

    if threads:
        torch.set_num_threads(threads)
    with told():
        changes = {name: given[name] for name in OF_THE_RECIPE} | {"corpora": tuple(given["corpora"] or ()) or None}
        wanted = changed(read_recipe(recipe), precision=chosen_precision(precision), **changes)
        teachers, own = tuple(dict.fromkeys(given["teachers"])), tuple(dict.fromkeys(given["own"]))
        return fit(
            data,
            out,
            wanted,
            Settings(teachers, own, given["start"], given["resume"], given["checkpoint_every"], given["limit"]),
        )


@click.command("fit", short_help="Fine-tune a base model by a recipe.")
@fit_options
def command(**given: Any) -> None:
    """Fine-tune a base model by a recipe.

    The recipe `student` makes the shipped model in about half an hour on two cores, `teacher` a larger one that a
    student learns from (give it with --teacher). Options without a default change the recipe; what a run used, down to
    the SHA-256 of every file, is written to recipe.json beside the weights. An interrupted run goes on with --resume
    and ends with the weights it would have had.

    \b
    Examples:
      vigilia train fit --own notes.jsonl --out training/runs/ours
      vigilia train fit --recipe teacher --out training/runs/teacher
      vigilia train fit --teacher training/runs/teacher --unlabelled 6000 --varied 0.5 --out training/runs/latest
      vigilia train fit --recipe further --start training/runs/latest --own new.jsonl --out training/runs/next
    """
    click.echo(str(run_fit(**given)))
