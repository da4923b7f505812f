"""One encoder, one forward pass, four outputs: the sentence's logit, BIO logits for DRUG and for EFFECT, pair scores.

DRUG and EFFECT have a head each because their spans overlap in 2.5% of positive sentences. A pair's score is bilinear:
the drug's piece and the effect's piece are each projected to 64 numbers, and their dot product says whether this drug
is blamed for this effect. Bilinear, so the mean score over two spans' pieces is the score of their mean projections.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

LABELS = 3
PAIR_WIDTH = 64
PAIR_SCALE = 8.0  # the root of PAIR_WIDTH: scores start at about the size of the other logits

Outputs = tuple[Tensor, Tensor, Tensor, Tensor]


class AdverseEventModel(nn.Module):  # type: ignore[misc,unused-ignore]  # torch may be absent where types are checked
    """Encoder plus four heads. The sentence head reads [CLS] and the mean of all pieces together."""

    def __init__(self, encoder: nn.Module, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.pad_id = int(cast(Any, encoder).config.pad_token_id or 0)
        self.dropout = nn.Dropout(dropout)
        self.sentence = nn.Linear(2 * width, 1)
        self.drug = nn.Linear(width, LABELS)
        self.effect = nn.Linear(width, LABELS)
        self.pair_drug = nn.Linear(width, PAIR_WIDTH)
        self.pair_effect = nn.Linear(width, PAIR_WIDTH)
        self.pair_bias = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Outputs:
        """(sentence [batch, 1], drug [batch, pieces, 3], effect [batch, pieces, 3], pair [batch, pieces, pieces]).

        All are logits; pair[b, i, j] is that of a drug at piece i being blamed for an effect at piece j.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        pooled = torch.cat([hidden[:, 0], mean], dim=-1)
        dropped = self.dropout(hidden)
        blamed = self.pair_drug(dropped) @ self.pair_effect(dropped).transpose(1, 2) / PAIR_SCALE + self.pair_bias
        return self.sentence(self.dropout(pooled)), self.drug(dropped), self.effect(dropped), blamed


def _quiet_transformers() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def from_base(folder: Path) -> AdverseEventModel:
    """The base encoder with fresh heads. Word embeddings are frozen: 16,000 sentences would only dent them."""
    encoder = _quiet_transformers().AutoModel.from_pretrained(str(folder), add_pooling_layer=False, dtype=torch.float32)
    encoder.get_input_embeddings().weight.requires_grad_(False)
    return AdverseEventModel(encoder, int(encoder.config.hidden_size))


def cut_tables(model: AdverseEventModel, kept: Sequence[int], places: int) -> None:
    """Keep these rows of the word table and the first `places` positions of a BERT encoder, in place."""
    encoder = cast(Any, model.encoder)
    tables = encoder.embeddings
    words, positions = tables.word_embeddings, tables.position_embeddings
    places = min(places, positions.num_embeddings)
    pad = list(kept).index(model.pad_id)
    tables.word_embeddings = nn.Embedding.from_pretrained(words.weight[list(kept)].detach().clone(), padding_idx=pad)
    tables.word_embeddings.weight.requires_grad_(words.weight.requires_grad)
    tables.position_embeddings = nn.Embedding.from_pretrained(positions.weight[:places].detach().clone(), freeze=False)
    tables.position_ids = tables.position_ids[:, :places].clone()
    tables.token_type_ids = tables.token_type_ids[:, :places].clone()
    encoder.config.vocab_size, encoder.config.max_position_embeddings = len(kept), places
    encoder.config.pad_token_id = model.pad_id = pad


def from_config(**config: int) -> AdverseEventModel:
    """A randomly initialised BERT of a given size: for tests, where seconds count."""
    transformers = _quiet_transformers()
    encoder = transformers.BertModel(transformers.BertConfig(**config), add_pooling_layer=False)
    return AdverseEventModel(encoder, int(encoder.config.hidden_size))


def save(model: AdverseEventModel, folder: Path) -> Path:
    """Write weights and encoder configuration; returns the weights' path."""
    folder.mkdir(parents=True, exist_ok=True)
    config = cast(Any, model.encoder).config
    config.save_pretrained(str(folder))
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, str(path))
    return path


def load(folder: Path) -> AdverseEventModel:
    """A model as `save` wrote it."""
    transformers = _quiet_transformers()
    config = transformers.AutoConfig.from_pretrained(str(folder))
    encoder = transformers.AutoModel.from_config(config, add_pooling_layer=False)
    model = AdverseEventModel(encoder, int(config.hidden_size))
    model.load_state_dict(load_file(str(folder / "model.safetensors")))
    return model
