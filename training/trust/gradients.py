"""Integrated gradients in torch: the referee of `inference.explain`, on the trained weights before they are quantised.

Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks": the gradient of the sentence's logit with
respect to the word embeddings, integrated along the straight line from a baseline (every piece [PAD], special pieces
kept) and multiplied by the way; a word's attribution is the sum over its pieces. Midpoint rule.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer

from inference.decoding import Words, words_of
from training import model as models

STEPS = 32


class Gradients:
    """Attributions by the weights in a run's folder."""

    def __init__(self, run: Path, steps: int = STEPS) -> None:
        self._model = models.load(run).eval()
        self._tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._steps = steps

    def attributions(self, sentence: str) -> tuple[Words, list[float], float]:
        """The words, what each adds, and the logit less that of the baseline (their sum but for the steps' error)."""
        encoded = self._tokenizer.encode(sentence)
        words = words_of(encoded.word_ids, encoded.offsets)
        ids = torch.tensor([encoded.ids])
        special = torch.tensor([word is None for word in encoded.word_ids])
        table = cast(Any, self._model.encoder).get_input_embeddings()
        end = table(ids).detach()
        start = torch.where(special[None, :, None], end, table(torch.tensor([[self._model.pad_id]])).detach())
        at = (torch.arange(self._steps) + 0.5) / self._steps
        points = (start + at[:, None, None] * (end - start)).requires_grad_(True)
        gradient = torch.autograd.grad(self._logits(points).sum(), points)[0].mean(0)
        added = (gradient * (end - start)[0]).sum(-1).tolist()
        with torch.no_grad():
            difference = float(self._logits(end) - self._logits(start))
        bounds = [*words.first_piece, len(encoded.ids) - 1]
        return words, [sum(added[a:b]) for a, b in pairwise(bounds)], difference

    def _logits(self, embedded: torch.Tensor) -> torch.Tensor:
        """Sentence logits of embedded pieces: the model's own forward pass with the look-up taken out."""
        model = cast(Any, self._model)
        hidden = model.encoder(inputs_embeds=embedded, attention_mask=torch.ones(embedded.shape[:2])).last_hidden_state
        pooled = torch.cat([hidden[:, 0], hidden.mean(1)], dim=-1)
        return cast(torch.Tensor, model.sentence(pooled)[:, 0])
