"""Word-level BIO scores to spans. The same code decodes in training, in evaluation and in production.

A word is what the tokenizer's pre-tokeniser calls one: a run of letters and digits, or one punctuation mark. Only the
first piece of a word was trained to carry its label, so only that piece is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OUTSIDE, BEGIN, INSIDE = 0, 1, 2
LABELS = ("O", "B", "I")

Range = tuple[int, int]


class Words(NamedTuple):
    """The words of an encoded sentence: position of each one's first piece, and its characters in the text."""

    first_piece: list[int]
    ranges: list[Range]


class DecodedSpan(NamedTuple):
    """Characters `[start, end)` and the geometric mean of the label probabilities of the span's words."""

    start: int
    end: int
    confidence: float


def words_of(word_ids: Sequence[int | None], offsets: Sequence[Range]) -> Words:
    """Group pieces into words. `None` marks special tokens; a word's range runs to the end of its last piece.

    >>> words_of([None, 0, 0, 1, None], [(0, 0), (0, 3), (3, 7), (8, 12), (0, 0)])
    Words(first_piece=[1, 3], ranges=[(0, 7), (8, 12)])
    """
    first: list[int] = []
    ranges: list[Range] = []
    previous: int | None = None
    for position, word in enumerate(word_ids):
        if word is None:
            continue
        if word == previous:
            ranges[-1] = (ranges[-1][0], offsets[position][1])
        else:
            first.append(position)
            ranges.append(offsets[position])
        previous = word
    return Words(first, ranges)


def label_words(ranges: Sequence[Range], spans: Sequence[Range]) -> list[int]:
    """BIO labels of words for gold spans; of two overlapping spans the longer one is kept.

    >>> label_words([(0, 7), (8, 12), (13, 20)], [(8, 20)])
    [0, 1, 2]
    """
    labels = [OUTSIDE] * len(ranges)
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        inside = words_inside(ranges, (start, end))
        if inside and all(labels[i] == OUTSIDE for i in inside):
            for i in inside:
                labels[i] = INSIDE
            labels[inside[0]] = BEGIN
    return labels


def decode_spans(scores: NDArray[np.float32], ranges: Sequence[Range]) -> list[DecodedSpan]:
    """Spans from word scores (one row of three logits a word), best label a word; an I after an O opens a span.

    Raises ValueError if there is not one row a word.
    """
    if len(scores) != len(ranges):
        raise ValueError(f"{len(scores)} rows of scores for {len(ranges)} words")
    if not ranges:
        return []
    labels = scores.argmax(axis=1).tolist()
    spans: list[DecodedSpan] = []
    begin: int | None = None
    for i, label in enumerate([*labels, OUTSIDE]):
        if begin is not None and label != INSIDE:
            spans.append(DecodedSpan(ranges[begin][0], ranges[i - 1][1], _confidence(scores[begin:i].tolist())))
            begin = None
        if label == BEGIN or (label == INSIDE and begin is None):
            begin = i
    return spans


def words_inside(ranges: Sequence[Range], span: Range) -> list[int]:
    """The words that a span of characters touches.

    >>> words_inside([(0, 7), (8, 12), (13, 20)], (8, 20))
    [1, 2]
    """
    start, end = span
    return [i for i, (a, b) in enumerate(ranges) if a < end and b > start]


def span_pair_logit(pair: NDArray[np.float32], words: Words, drug: Range, effect: Range) -> float | None:
    """The logit of one drug with one effect: the mean of `pair` over first pieces of the drug's and the effect's words.

    `pair` is the graph's [pieces, pieces] output for one sentence: rows are drug pieces, columns effect pieces. The sum
    is exact, so it is the same on any machine. None if either span touches no word.
    """
    rows = [words.first_piece[i] for i in words_inside(words.ranges, drug)]
    columns = [words.first_piece[i] for i in words_inside(words.ranges, effect)]
    if not rows or not columns:
        return None
    scores = [score for row in pair[rows][:, columns].tolist() for score in row]
    return math.fsum(scores) / len(scores)


def _confidence(rows: list[list[float]]) -> float:
    """Geometric mean of the softmax probability of each row's largest logit. Scalar arithmetic: the same anywhere."""
    total = sum(math.log(sum(math.exp(score - max(row)) for score in row)) for row in rows)
    return math.exp(-total / len(rows))
