"""Which parameters learn and how fast: freezing, layer-wise rates, warm-up, a running mean of weights, adapters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from training.fit.recipe import Recipe, RecipeError, Stage
from training.model import AdverseEventModel


def layers_of(model: AdverseEventModel) -> int:
    """How many layers the encoder has."""
    return int(cast(Any, model.encoder).config.num_hidden_layers)


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


def freeze(model: AdverseEventModel, lowest: int) -> None:
    """Stop the embeddings and so many of the lowest layers from learning. Raises RecipeError if there are fewer."""
    layers = layers_of(model)
    if lowest > layers:
        raise RecipeError(f"freeze_layers = {lowest}, but the encoder has {layers} layers")
    for name, parameter in model.named_parameters():
        below = depth_below_top(name, layers) >= layers - lowest and (".layer." in name or ".embeddings." in name)
        if lowest and name.startswith("encoder.") and below:
            parameter.requires_grad_(False)


def add_adapters(model: AdverseEventModel, rank: int) -> None:
    """Freeze the encoder and lay LoRA adapters over every linear layer of it (Hu et al. 2021, arXiv:2106.09685)."""
    from peft import LoraConfig, get_peft_model

    linear = sorted({n.rpartition(".")[2] for n, m in model.encoder.named_modules() if isinstance(m, nn.Linear)})
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=linear, bias="none")
    model.encoder = get_peft_model(cast(Any, model.encoder), config)


def merge_adapters(model: AdverseEventModel) -> None:
    """Add the adapters' products to the weights they lie over: the same outputs from a plain encoder."""
    model.encoder = cast(Any, model.encoder).merge_and_unload()


def optimiser_for(model: AdverseEventModel, stage: Stage, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with rates that fall with depth in the encoder, and one for the heads; no decay on biases and norms."""
    layers = layers_of(model)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            encoder = name.startswith("encoder.")
            rate = stage.rate * recipe.layer_decay ** depth_below_top(name, layers) if encoder else stage.head_rate
            decay = 0.0 if parameter.ndim == 1 else recipe.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    rows = [{"params": p, "lr": r, "top_rate": r, "weight_decay": d} for (r, d), p in groups.items()]
    return torch.optim.AdamW(rows, fused=True)  # a sixth of a step on 2 cores went into one update a tensor


def rate_share(step: int, steps: int, warm_up: float) -> float:
    """The share of the top rate at a step (from 0): linear warm-up, then linear to nothing. Needs no state to resume.

    >>> [round(rate_share(step, 10, 0.2), 2) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.12]
    """
    warm = max(1, int(warm_up * steps))
    return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))


def set_rates(optimiser: torch.optim.Optimizer, share: float) -> float:
    """Give every group its share of its top rate; returns the largest."""
    for group in optimiser.param_groups:
        group["lr"] = group["top_rate"] * share
    return float(max(group["lr"] for group in optimiser.param_groups))


class RunningMean:
    """Exponential moving average of the weights that learn (Polyak averaging); early steps count less smoothing.

    `decay` is that of the long run; at step t it is min(decay, (1 + t) / (10 + t)), so that the random start is soon
    forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self.weights = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    def update(self, model: nn.Module) -> None:
        """Move towards the weights of now."""
        self._steps += 1
        pull = 1 - min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, parameter in model.named_parameters():
            if name in self.weights:
                self.weights[name].lerp_(parameter.detach(), pull)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"steps": self._steps, "weights": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._steps = int(state["steps"])
        for name, weight in state["weights"].items():
            self.weights[name].copy_(weight)


def learning_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every weight that learns."""
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def put_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Write weights into the parameters of their names."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
