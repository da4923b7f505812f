"""Fine-tune the base model: `python -m training.fit --data ../shared/data --out training/runs/latest`.

Two stages (recipe C of the project's notes). First half of the negatives, three epochs: the heads learn spans while
positives are common. Then one epoch at a lower rate on all negatives and PsyTAR: the prior and patients' language.
The log (`fit.jsonl` in the output folder) has one JSON object every 50 steps and one for each epoch.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.bases import base_folder
from training.batches import IGNORED, Batch, Encoded, collate, encode, read_tokenizer, shuffled_batches
from training.data import SEED, Sentence, load_ade, split_ade, split_psytar
from training.model import AdverseEventModel, from_base, save


@dataclass(frozen=True)
class Stage:
    """One stage: which share of the negatives, whether PsyTAR, how long and how fast."""

    name: str
    negatives: float
    psytar: bool
    epochs: int
    rate: float
    head_rate: float


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, beside data and base model."""

    stages: tuple[Stage, ...] = (
        Stage("half the negatives", 0.5, False, 3, 1.5e-4, 1e-3),
        Stage("all negatives and PsyTAR", 1.0, True, 1, 8e-5, 3e-4),
    )
    seed: int = SEED
    fold: int = 0
    batch: int = 16
    max_length: int = 96
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 1.0
    span_weight: float = 0.5
    precision: str = "fp32"
    base: str = "minilm"
    layer_decay: float = 1.0  # each layer below the top learns this much slower than the one above it


RECIPES = {
    "student": Recipe(),
    "teacher": Recipe(
        stages=(
            Stage("half the negatives", 0.5, False, 2, 4e-5, 5e-4),
            Stage("all negatives and PsyTAR", 1.0, True, 1, 2e-5, 2e-4),
        ),
        base="mpnet",
        layer_decay=0.9,
    ),
}


class Log:
    """Progress for a person on stderr, the same for a program in a file."""

    def __init__(self, path: Path | None, quiet: bool = False) -> None:
        self._file = path.open("a", encoding="utf-8") if path else None
        self._quiet = quiet
        self._start = time.monotonic()

    def __call__(self, event: str, **values: float | int | str) -> None:
        """Write one record."""
        record = {"event": event, "seconds": round(time.monotonic() - self._start, 1), **values}
        if self._file:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        if not self._quiet:
            print("  ".join(f"{key}={value}" for key, value in record.items()), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


def loss_of(outputs: tuple[Tensor, Tensor, Tensor], batch: Batch, span_weight: float) -> Tensor:
    """Binary cross-entropy of the sentence plus, where spans are known, token cross-entropy of each head."""
    sentence, drug, effect = (output.float() for output in outputs)
    loss = functional.binary_cross_entropy_with_logits(sentence.squeeze(-1), batch.positive)
    if bool((batch.drug_labels != IGNORED).any()):
        for logits, labels in ((drug, batch.drug_labels), (effect, batch.effect_labels)):
            loss = loss + span_weight * functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED
            )
    return loss


def depth_below_top(name: str, layers: int) -> int:
    """How many layers lie above a parameter of the encoder; embeddings lie below the first.

    >>> depth_below_top("encoder.encoder.layer.11.output.dense.weight", 12)
    0
    >>> depth_below_top("encoder.embeddings.LayerNorm.weight", 12)
    12
    """
    found = re.search(r"\.layer\.(\d+)\.", name)
    if found:
        return layers - 1 - int(found.group(1))
    return layers if ".embeddings." in name else 0


def optimiser_for(model: AdverseEventModel, stage: Stage, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with rates that fall with depth in the encoder, and one for the heads; no decay on biases and norms."""
    layers = int(cast(Any, model.encoder).config.num_hidden_layers)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            encoder = name.startswith("encoder.")
            rate = stage.rate * recipe.layer_decay ** depth_below_top(name, layers) if encoder else stage.head_rate
            decay = 0.0 if parameter.ndim == 1 else recipe.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW([{"params": p, "lr": r, "weight_decay": d} for (r, d), p in groups.items()])


def stage_sentences(sentences: Sequence[Sentence], share: float, rng: random.Random) -> list[Sentence]:
    """All positives and a random share of the negatives."""
    return [s for s in sentences if s.positive or share >= 1 or rng.random() < share]


def train_stage(
    model: AdverseEventModel, items: Sequence[Encoded], stage: Stage, recipe: Recipe, rng: random.Random, log: Log
) -> list[float]:
    """Run one stage; returns the loss of every step."""
    device = next(model.parameters()).device
    optimiser = optimiser_for(model, stage, recipe)
    steps = stage.epochs * -(-len(items) // recipe.batch)
    warm = max(1, int(recipe.warm_up * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))
    )
    model.train()
    losses: list[float] = []
    for epoch in range(stage.epochs):
        for members in shuffled_batches(items, recipe.batch, rng):
            batch = collate(members, model.pad_id).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
                outputs = model(batch.input_ids, batch.attention_mask)
            loss = loss_of(outputs, batch, recipe.span_weight)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
            if len(losses) % 50 == 0:
                log(
                    "step",
                    stage=stage.name,
                    epoch=epoch,
                    step=len(losses),
                    steps=steps,
                    loss=round(sum(losses[-50:]) / 50, 4),
                )
    return losses


def fit(data: Path, out: Path, recipe: Recipe) -> Path:
    """Train by the recipe and write weights, tokenizer and recipe to `out`. Returns `out`."""
    out.mkdir(parents=True, exist_ok=True)
    log = Log(out / "fit.jsonl")
    torch.manual_seed(recipe.seed)
    rng = random.Random(recipe.seed)
    folder = base_folder(recipe.base)
    tokenizer = read_tokenizer(folder / "tokenizer.json", recipe.max_length)
    ade = split_ade(load_ade(data / "ade_corpus_v2"), recipe.fold)
    patients = split_psytar(data / "psytar")
    log(
        "data",
        training=len(ade.training),
        development=len(ade.development),
        psytar=len(patients.training),
        **ade.removed,
    )
    model = from_base(folder).to("cuda" if torch.cuda.is_available() else "cpu")
    for stage in recipe.stages:
        chosen = stage_sentences(ade.training, stage.negatives, rng) + (patients.training if stage.psytar else [])
        log("stage", stage=stage.name, sentences=len(chosen), positives=sum(s.positive for s in chosen))
        train_stage(model, encode(chosen, tokenizer), stage, recipe, rng, log)
    tokenizer.save(str(out / "tokenizer.json"))
    save(model.cpu(), out)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n", encoding="utf-8")
    log("saved", folder=str(out))
    log.close()
    return out


def parser() -> argparse.ArgumentParser:
    """Options that `python -m training` shares."""
    options = argparse.ArgumentParser(prog="python -m training.fit", description=__doc__)
    options.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    options.add_argument("--out", type=Path, default=Path("training/runs/latest"), help="folder for weights and log")
    options.add_argument("--recipe", choices=tuple(RECIPES), default="student")
    options.add_argument("--base", help="minilm, mpnet, or a local Hugging Face folder, instead of the recipe's own")
    options.add_argument("--fold", type=int, default=0, help="development fold, 0-9")
    options.add_argument("--seed", type=int, default=SEED, help="seed of order, dropout and heads (folds keep theirs)")
    options.add_argument(
        "--precision", choices=("fp32", "bf16", "auto"), default="auto", help="auto: bf16 on GPUs and AMX CPUs"
    )
    options.add_argument("--threads", type=int, default=0, help="CPU threads of torch; 0 = its own choice")
    return options


def chosen_precision(asked: str) -> str:
    """`auto` resolved for this machine: bfloat16 where it is faster, on GPUs and on CPUs with AMX."""
    if asked != "auto":
        return asked
    cpuinfo = Path("/proc/cpuinfo")
    amx = cpuinfo.exists() and " amx_bf16" in cpuinfo.read_text(encoding="utf-8")
    return "bf16" if torch.cuda.is_available() or amx else "fp32"


def recipe_from(given: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for."""
    recipe = RECIPES[given.recipe]
    return replace(
        recipe,
        fold=given.fold,
        seed=given.seed,
        precision=chosen_precision(given.precision),
        base=given.base or recipe.base,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry."""
    given = parser().parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    fit(given.data, given.out, recipe_from(given))


if __name__ == "__main__":
    main()
