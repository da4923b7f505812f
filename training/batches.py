"""Sentences to padded tensors, in batches of about equal length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from inference.decoding import Words, label_words, words_of
from training.data import Sentence

IGNORED = -100  # what torch's cross-entropy skips


@dataclass(frozen=True)
class Encoded:
    """A sentence as the model reads it. Labels are per piece; IGNORED everywhere but on the first piece of a word."""

    sentence: Sentence
    ids: list[int]
    words: Words
    drug_labels: list[int]
    effect_labels: list[int]


@dataclass(frozen=True)
class Batch:
    """Padded tensors of some sentences."""

    input_ids: Tensor
    attention_mask: Tensor
    positive: Tensor
    drug_labels: Tensor
    effect_labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


def read_tokenizer(path: Path, max_length: int) -> Tokenizer:
    """A tokenizer that truncates at `max_length` pieces and does not pad."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def encode(sentences: Sequence[Sentence], tokenizer: Tokenizer) -> list[Encoded]:
    """Tokenise sentences and lay their spans over the pieces."""
    encoded = []
    encodings = tokenizer.encode_batch([s.text for s in sentences])
    for sentence, encoding in zip(sentences, encodings, strict=True):
        words = words_of(encoding.word_ids, encoding.offsets)
        labels = []
        for spans in (sentence.drugs, sentence.effects):
            pieces = [IGNORED] * len(encoding.ids)
            if sentence.spans_known:
                for position, label in zip(words.first_piece, label_words(words.ranges, spans), strict=True):
                    pieces[position] = label
            labels.append(pieces)
        encoded.append(Encoded(sentence, list(encoding.ids), words, *labels))
    return encoded


def collate(items: Sequence[Encoded], pad_id: int = 0) -> Batch:
    """Pad to the longest of the batch."""
    longest = max(len(item.ids) for item in items)

    def padded(rows: list[list[int]], value: int) -> Tensor:
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows], dtype=torch.int64)

    return Batch(
        padded([item.ids for item in items], pad_id),
        padded([[1] * len(item.ids) for item in items], 0),
        torch.tensor([float(item.sentence.positive) for item in items]),
        padded([item.drug_labels for item in items], IGNORED),
        padded([item.effect_labels for item in items], IGNORED),
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
