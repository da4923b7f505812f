"""The loss: sentence, spans and pairs, each against a distribution: labels and teachers' opinions are one thing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.batches import Batch
from training.model import Outputs


def soft_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean cross-entropy of pieces against distributions, weighted; 0 where no piece has weight.

    With one-hot targets and weights of 1 this is torch's own cross-entropy.
    """
    entropy = -(target * functional.log_softmax(logits, dim=-1)).sum(-1)
    return (entropy * weight).sum() / weight.count_nonzero().clamp(min=1)


def pair_logits(pair: Tensor, batch: Batch) -> Tensor:
    """[pairs]: the mean of `pair` [batch, pieces, pieces] over each drug's and each effect's first pieces."""
    return torch.einsum("pi,pij,pj->p", batch.pair_drug, pair[batch.pair_sentence], batch.pair_effect)


def loss_of(outputs: Outputs, batch: Batch, span_weight: float = 0.5, pair_weight: float = 0.5) -> Tensor:
    """Binary cross-entropy of the sentence, plus the spans' and the pairs' where they are known."""
    sentence, drug, effect, pair = (output.float() for output in outputs)
    loss = functional.binary_cross_entropy_with_logits(sentence.squeeze(-1), batch.positive)
    loss = loss + span_weight * soft_cross_entropy(drug, batch.drug, batch.drug_weight)
    loss = loss + span_weight * soft_cross_entropy(effect, batch.effect, batch.effect_weight)
    if len(batch.pair_blamed):
        scores = pair_logits(pair, batch)
        loss = loss + pair_weight * functional.binary_cross_entropy_with_logits(scores, batch.pair_blamed)
    return loss
