"""The training loop: batches to steps, stage by stage, able to stop anywhere and go on as if it had not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.batches import Encoded, collate, shuffled_batches
from training.fit.log import Log
from training.fit.losses import loss_of
from training.fit.optimise import (
    RunningMean,
    learning_weights,
    optimiser_for,
    put_weights,
    rate_share,
    set_rates,
)
from training.fit.recipe import Recipe, RecipeError, Stage
from training.model import AdverseEventModel

CHECKPOINT = "checkpoint.pt"


@dataclass
class Position:
    """How far a fit has come: what was done (`stage`, `step` in it) and every loss so far."""

    stage: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    best_loss: float = float("inf")
    best_weights: dict[str, torch.Tensor] | None = None
    waited: int = 0  # epochs since the lowest held loss


class Trainer:
    """A model under training by a recipe: optimiser, scaler, running mean, and where it stands."""

    def __init__(self, model: AdverseEventModel, recipe: Recipe, log: Log, identity: str = "") -> None:
        self.model = model
        self.recipe = recipe
        self.log = log
        self.position = Position()
        self._identity = identity  # of recipe and data: a checkpoint of another fit is refused
        self._device = next(model.parameters()).device
        if recipe.precision == "fp16" and self._device.type != "cuda":
            raise RecipeError("precision fp16 needs a GPU (its gradients are scaled there); use bf16 or fp32")
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=recipe.precision == "fp16")
        self._mean = RunningMean(model, recipe.ema) if recipe.ema else None
        self._optimiser: torch.optim.AdamW | None = None
        self._restored: dict[str, Any] | None = None

    # ------------------------------------------------------------ steps

    def forward_loss(self, items: Sequence[Encoded]) -> torch.Tensor:
        """Loss of some sentences, in the recipe's precision."""
        recipe = self.recipe
        batch = collate(items, self.model.pad_id).to(self._device)
        kind = torch.float16 if recipe.precision == "fp16" else torch.bfloat16
        with torch.autocast(self._device.type, dtype=kind, enabled=recipe.precision != "fp32"):
            outputs = self.model(batch.input_ids, batch.attention_mask)
        return loss_of(outputs, batch, recipe.span_weight, recipe.pair_weight)

    def _step(self, batches: Sequence[Sequence[Encoded]]) -> float:
        """One step of the optimiser over the gradients of some batches; returns their mean loss."""
        assert self._optimiser is not None
        self._optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for members in batches:
            loss = self.forward_loss(members) / len(batches)
            self._scaler.scale(loss).backward()
            total += float(loss.detach())
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], self.recipe.clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._mean:
            self._mean.update(self.model)
        return total

    def _epoch(self, items: Sequence[Encoded], index: int, epoch: int) -> list[list[list[Encoded]]]:
        """The steps of an epoch. Their order is a function of seed, stage and epoch: nothing to keep for a resume."""
        rng = random.Random(f"{self.recipe.seed}:{index}:{epoch}")
        batches = list(shuffled_batches(items, self.recipe.batch, rng))
        size = self.recipe.accumulate
        return [batches[i : i + size] for i in range(0, len(batches), size)]

    def run_stage(
        self,
        items: Sequence[Encoded],
        stage: Stage,
        held: Sequence[Encoded] = (),
        after_step: Callable[[], None] = lambda: None,
    ) -> list[float]:
        """Run the stage that the position names, or what is left of it; returns every loss of the fit so far."""
        if not items:
            raise RecipeError(f"stage {stage.name!r} has no sentences")
        position = self.position
        self._optimiser = optimiser_for(self.model, stage, self.recipe)
        self._take_restored()
        if position.step == 0:  # whatever drew numbers before (a teacher's random start) makes no difference
            torch.manual_seed(self.recipe.seed + position.stage)
        batches = -(-len(items) // self.recipe.batch)
        each = -(-batches // self.recipe.accumulate)
        steps = stage.epochs * each
        self.log.start(stage.name, steps, position.step)
        self.model.train()
        for epoch in range(position.step // each, stage.epochs):
            for number, members in enumerate(self._epoch(items, position.stage, epoch)):
                if epoch * each + number < position.step:
                    continue
                rate = set_rates(self._optimiser, rate_share(position.step, steps, self.recipe.warm_up))
                position.losses.append(self._step(members))
                position.step += 1
                self.log.step(stage.name, epoch, position.step, steps, position.losses, rate)
                if position.step < steps:
                    after_step()
            if held and self._is_over(held, stage, epoch):
                break
        self._end_stage(bool(held))
        return position.losses

    # ------------------------------------------------------------ ends

    def _is_over(self, held: Sequence[Encoded], stage: Stage, epoch: int) -> bool:
        """Look at the held sentences, remember the best weights; True when patience is at its end."""
        position = self.position
        loss = self.held_loss(held)
        self.log("held", stage=stage.name, epoch=epoch, loss=round(loss, 4))
        self.log.scalars(len(position.losses), held_loss=loss)
        if loss < position.best_loss:
            position.best_loss, position.waited = loss, 0
            position.best_weights = dict(self._mean.weights) if self._mean else learning_weights(self.model)
            position.best_weights = {name: weight.clone() for name, weight in position.best_weights.items()}
        else:
            position.waited += 1
        return bool(self.recipe.patience) and position.waited >= self.recipe.patience

    def held_loss(self, held: Sequence[Encoded]) -> float:
        """Mean loss of held sentences, with the running mean of weights where there is one."""
        now = learning_weights(self.model)
        if self._mean:
            put_weights(self.model, self._mean.weights)
        self.model.eval()
        ordered = sorted(held, key=lambda item: len(item.ids))
        with torch.no_grad():
            chunks = [ordered[i : i + 64] for i in range(0, len(ordered), 64)]
            total = sum(float(self.forward_loss(chunk)) * len(chunk) for chunk in chunks)
        self.model.train()
        put_weights(self.model, now)
        return total / len(held)

    def _end_stage(self, chose: bool) -> None:
        """Go on from the best weights if they were looked for; the next stage starts with a fresh optimiser."""
        position = self.position
        if chose and self.recipe.patience and position.best_weights is not None:
            put_weights(self.model, position.best_weights)
            if self._mean:
                put_weights_into(self._mean.weights, position.best_weights)
        position.stage, position.step = position.stage + 1, 0
        position.best_loss, position.best_weights, position.waited = float("inf"), None, 0
        self._optimiser = None
        self.log.stop()

    def finish(self) -> AdverseEventModel:
        """The model to keep, in evaluation mode: with the running mean of weights where the recipe wants it."""
        if self._mean:
            put_weights(self.model, self._mean.weights)
        self.model.eval()
        return self.model

    # ------------------------------------------------------------ checkpoints

    def save(self, folder: Path) -> None:
        """Write a checkpoint; a crash while writing leaves the previous one."""
        path = folder / CHECKPOINT
        record = {
            "identity": self._identity,
            "position": vars(self.position),
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict() if self._optimiser else None,
            "scaler": self._scaler.state_dict(),
            "mean": self._mean.state() if self._mean else None,
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        part = path.with_suffix(".part")
        torch.save(record, part)
        part.replace(path)

    def restore(self, folder: Path) -> None:
        """Go on from a folder's checkpoint. Raises RecipeError if there is none or it is of another fit."""
        path = folder / CHECKPOINT
        if not path.exists():
            raise RecipeError(f"{folder}: no {CHECKPOINT} to resume from (it goes when a fit is finished)")
        record = torch.load(path, map_location="cpu", weights_only=True)
        if record["identity"] != self._identity:
            raise RecipeError(f"{path}: made with another recipe or other data; start without --resume")
        self.position = Position(**record["position"])
        self.model.load_state_dict(record["model"])
        self._scaler.load_state_dict(record["scaler"])
        if self._mean:
            self._mean.restore(record["mean"])
        self._restored = record

    def _take_restored(self) -> None:
        """Give the stage's optimiser, and the generators, the state of the checkpoint, once."""
        record, self._restored = self._restored, None
        if record is None:
            return
        if record["optimiser"] is not None and self._optimiser is not None:
            self._optimiser.load_state_dict(record["optimiser"])
        torch.set_rng_state(record["random"])
        if record["random_gpu"]:
            torch.cuda.set_rng_state_all(record["random_gpu"])


def put_weights_into(target: dict[str, torch.Tensor], source: dict[str, torch.Tensor]) -> None:
    """Copy tensors over those of the same names."""
    for name, weight in source.items():
        target[name].copy_(weight)
