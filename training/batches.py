"""Sentences to padded tensors, in batches of about equal length.

Every target is a distribution: a hard label is one that is certain, and a teacher's opinion mixes in by its weight. So
one loss serves both. A sentence whose corpus is `unlabelled:...` has no label of its own, only a teacher's opinion.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from inference.decoding import LABELS, Words, label_words, words_inside, words_of
from training.data import Sentence

UNLABELLED = "unlabelled:"
BELIEVED = 0.5  # a teacher's spans count where it takes the sentence for positive

Distributions = dict[int, NDArray[np.float32]]  # piece -> probabilities of O, B, I


@dataclass(frozen=True)
class SoftLabel:
    """What teachers think of a sentence: its probability, and each word's BIO distribution by the word's characters."""

    positive: float
    drug: Mapping[tuple[int, int], NDArray[np.float32]]
    effect: Mapping[tuple[int, int], NDArray[np.float32]]


@dataclass(frozen=True)
class PairTarget:
    """A drug and an effect of one sentence: the first pieces of their words, and whether the drug is blamed for it."""

    drug: tuple[int, ...]
    effect: tuple[int, ...]
    blamed: bool


@dataclass(frozen=True)
class Encoded:
    """A sentence as the model reads it, and its targets. Pieces without a distribution take no span loss."""

    sentence: Sentence
    ids: list[int]
    words: Words
    positive: float
    drug: Distributions
    effect: Distributions
    span_weight: float
    pairs: tuple[PairTarget, ...]


@dataclass(frozen=True)
class Batch:
    """Padded tensors of some sentences. Pair tensors have a row for each drug-effect combination of the batch."""

    input_ids: Tensor
    attention_mask: Tensor
    positive: Tensor
    drug: Tensor  # [batch, pieces, 3] distributions
    effect: Tensor
    drug_weight: Tensor  # [batch, pieces]: 0 where no loss is taken
    effect_weight: Tensor
    pair_sentence: Tensor  # [pairs]: which sentence of the batch
    pair_drug: Tensor  # [pairs, pieces]: weights that average over the drug's pieces
    pair_effect: Tensor
    pair_blamed: Tensor  # [pairs]

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


def read_tokenizer(path: Path, max_length: int) -> Tokenizer:
    """A tokenizer that truncates at `max_length` pieces and does not pad."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def is_unlabelled(sentence: Sentence) -> bool:
    """Whether only a teacher can say anything about this sentence."""
    return sentence.corpus.startswith(UNLABELLED)


def first_pieces(words: Words, span: tuple[int, int]) -> tuple[int, ...]:
    """First pieces of the words that a span touches; none if truncation cut them off.

    >>> first_pieces(Words([1, 3], [(0, 7), (8, 12)]), (8, 12))
    (3,)
    """
    return tuple(words.first_piece[i] for i in words_inside(words.ranges, span))


def _pairs(sentence: Sentence, words: Words) -> tuple[PairTarget, ...]:
    """Every drug with every effect of a sentence whose spans are marked."""
    drugs = [first_pieces(words, span) for span in sentence.drugs]
    effects = [first_pieces(words, span) for span in sentence.effects]
    combinations = product(enumerate(drugs), enumerate(effects))
    return tuple(PairTarget(d, e, (i, j) in sentence.pairs) for (i, d), (j, e) in combinations if d and e)


def _distributions(
    words: Words,
    hard: Sequence[tuple[int, int]] | None,
    soft: Mapping[tuple[int, int], NDArray[np.float32]] | None,
    share: float,
) -> Distributions:
    """Targets of each word's first piece: `share` of the teacher's distribution, the rest of the label's."""
    marked = None if hard is None else np.eye(len(LABELS), dtype=np.float32)[label_words(words.ranges, hard)]
    found: Distributions = {}
    for i, (piece, place) in enumerate(zip(words.first_piece, words.ranges, strict=True)):
        opinion = soft.get(place) if soft else None
        if marked is not None:
            found[piece] = marked[i] if opinion is None else (1 - share) * marked[i] + share * opinion
        elif opinion is not None:
            found[piece] = opinion
    return found


def encode(
    sentences: Sequence[Sentence],
    tokenizer: Tokenizer,
    soft: Mapping[str, SoftLabel] | None = None,
    share: float = 0.5,
    negative_spans: bool = False,
) -> list[Encoded]:
    """Tokenise sentences and lay their labels over the pieces.

    `soft` has teachers' opinions by text; they weigh `share`, and everything where there is no label. Spans are learnt
    from positive sentences, and from negative ones that have any if `negative_spans`.
    """
    encoded = []
    encodings = tokenizer.encode_batch([s.text for s in sentences])
    for sentence, encoding in zip(sentences, encodings, strict=True):
        words = words_of(encoding.word_ids, encoding.offsets)
        opinion = soft.get(sentence.text) if soft else None
        unlabelled = is_unlabelled(sentence)
        if unlabelled and opinion is None:
            continue
        marked = sentence.spans_known and (sentence.positive or negative_spans)
        believed = opinion if opinion is not None and (marked or opinion.positive >= BELIEVED) else None
        soft_drug, soft_effect = (believed.drug, believed.effect) if believed else (None, None)
        share_here = 0.0 if opinion is None else 1.0 if unlabelled else share
        encoded.append(
            Encoded(
                sentence,
                list(encoding.ids),
                words,
                (1 - share_here) * sentence.positive + share_here * (opinion.positive if opinion else 0.0),
                _distributions(words, sentence.drugs if marked else None, soft_drug, share),
                _distributions(words, sentence.effects if marked else None, soft_effect, share),
                1.0 if marked else believed.positive if believed else 0.0,
                _pairs(sentence, words),
            )
        )
    return encoded


def collate(items: Sequence[Encoded], pad_id: int = 0) -> Batch:
    """Pad to the longest of the batch."""
    shape = len(items), max(len(item.ids) for item in items)
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    targets = {name: np.zeros((*shape, len(LABELS)), dtype=np.float32) for name in ("drug", "effect")}
    weights = {name: np.zeros(shape, dtype=np.float32) for name in ("drug", "effect")}
    pairs = [(row, pair) for row, item in enumerate(items) for pair in item.pairs]
    averages = {name: np.zeros((len(pairs), shape[1]), dtype=np.float32) for name in ("drug", "effect")}
    for row, item in enumerate(items):
        ids[row, : len(item.ids)] = item.ids
        mask[row, : len(item.ids)] = 1
        for name, distributions in (("drug", item.drug), ("effect", item.effect)):
            for piece, distribution in distributions.items():
                targets[name][row, piece] = distribution
                weights[name][row, piece] = item.span_weight
    for row, (_, pair) in enumerate(pairs):
        averages["drug"][row, list(pair.drug)] = 1 / len(pair.drug)
        averages["effect"][row, list(pair.effect)] = 1 / len(pair.effect)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(mask),
        torch.tensor([item.positive for item in items], dtype=torch.float32),
        torch.from_numpy(targets["drug"]),
        torch.from_numpy(targets["effect"]),
        torch.from_numpy(weights["drug"]),
        torch.from_numpy(weights["effect"]),
        torch.tensor([row for row, _ in pairs], dtype=torch.int64),
        torch.from_numpy(averages["drug"]),
        torch.from_numpy(averages["effect"]),
        torch.tensor([float(pair.blamed) for _, pair in pairs], dtype=torch.float32),
    )


def shuffled_batches(
    items: Sequence[Encoded], size: int, rng: random.Random, window: int = 50
) -> Iterator[list[Encoded]]:
    """All items once, in random batches whose members are of about equal length.

    Shuffle, sort by length within windows of `window` batches, cut, shuffle the batches.
    """
    order = list(items)
    rng.shuffle(order)
    span = size * window
    batches = []
    for start in range(0, len(order), span):
        chunk = sorted(order[start : start + span], key=lambda item: len(item.ids))
        batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    rng.shuffle(batches)
    yield from batches
