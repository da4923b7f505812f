"""Options of `python -m training.fit`, which `python -m training` shares; they change fields of a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training.data import SEED
from training.fit.recipe import RECIPES, Recipe, changed
from training.fit.run import Settings


def parser() -> argparse.ArgumentParser:
    """Options that decide a fit."""
    options = argparse.ArgumentParser(prog="python -m training.fit", description="Fine-tune a base model by a recipe.")
    add = options.add_argument
    add("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    add("--out", type=Path, default=Path("training/runs/latest"), help="folder for weights and log")
    add("--recipe", choices=tuple(RECIPES), default="student")
    add("--teacher", type=Path, action="append", default=[], help="run folder of a teacher; several are averaged")
    add("--base", help="minilm, mpnet, or a local Hugging Face folder, instead of the recipe's own")
    add("--fold", type=int, default=0, help="development fold, 0-9")
    add("--seed", type=int, default=SEED, help="seed of order, dropout and heads (folds keep theirs)")
    add("--precision", choices=("fp32", "bf16", "fp16", "auto"), default="auto", help="auto: bf16 where it is faster")
    add("--threads", type=int, default=0, help="CPU threads of torch; 0 = its own choice")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add("--checkpoint-every", type=int, default=200, metavar="STEPS", help="0 = no checkpoints")
    add("--limit", type=int, metavar="N", help="only N sentences of each corpus, to try the machinery")
    changes = options.add_argument_group("instead of the recipe's own")
    add = changes.add_argument
    add("--epochs", type=int, help="of every stage")
    add("--augmented", type=float, metavar="SHARE", help="made sentences, as a share of each stage's corpus sentences")
    add("--unlabelled", type=int, metavar="N", help="sentences without labels for the teachers to label")
    add("--distil-weight", type=float, metavar="W", help="share of the teachers' opinion in the target")
    add("--no-correct-prior", dest="correct_prior", action="store_const", const=False, help="take teachers' logits as is")
    add("--vocabulary", type=int, metavar="PIECES", help="cut the base's pieces to so many before training")
    add("--batch", type=int, help="sentences a batch")
    add("--accumulate", type=int, metavar="BATCHES", help="batches a step of the optimiser")
    add("--ema", type=float, metavar="DECAY", help="keep a running mean of the weights")
    add("--layer-decay", type=float, metavar="FACTOR", help="each layer learns this much slower than the one above")
    add("--freeze-layers", type=int, metavar="N", help="leave the lowest N layers as they are")
    add("--lora-rank", type=int, metavar="R", help="train adapters of rank R, merged at the end")
    add("--held", type=float, metavar="SHARE", help="training documents held out for early stopping")
    add("--patience", type=int, metavar="EPOCHS", help="stop a stage after so many epochs without gain on what is held")
    return options


CHANGES = (
    *("epochs", "augmented", "unlabelled", "distil_weight", "correct_prior", "vocabulary", "batch", "accumulate"),
    *("ema", "layer_decay", "freeze_layers", "lora_rank", "held", "patience", "base", "fold", "seed"),
)


def recipe_from(given: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for. Raises RecipeError if it can't work."""
    values = {name: getattr(given, name) for name in CHANGES}
    return changed(RECIPES[given.recipe], precision=chosen_precision(given.precision), **values)


def settings_from(given: argparse.Namespace) -> Settings:
    """How the options want it run."""
    teachers = tuple(dict.fromkeys(given.teacher))
    return Settings(teachers, given.resume, given.checkpoint_every, given.limit)


def chosen_precision(asked: str) -> str:
    """`auto` resolved for this machine: bfloat16 where it is faster, on GPUs and on CPUs with AMX."""
    if asked != "auto":
        return asked
    cpuinfo = Path("/proc/cpuinfo")
    amx = cpuinfo.exists() and " amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    return "bf16" if torch.cuda.is_available() or amx else "fp32"
