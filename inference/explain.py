"""Which words make a sentence's probability: Shapley values of the sentence's logit over its words.

A word that is absent is kept out of attention, as padding is: the others keep their places, and nothing stands in for
it. The value of a set of words is the logit with those words alone; a word's attribution is what it adds, averaged over
orders in which words may come (Shapley 1953; by sampled orders, each with its reverse: Castro, Gomez & Tejada 2009,
Mitchell et al. 2022, "Sampling permutations for Shapley value estimation"). In every single order the contributions sum
to the logit of all words less that of none, so the attributions do so too, exactly but for rounding.

The orders come from a published seed and the number of words: a sentence is explained the same way each time. It takes
`ORDERS * (words - 1) + 2` forward passes of the graph that is served; nothing of torch is needed. How faithful that is,
`python -m training.trust.faithfulness` measures.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from inference.graph import GraphClassifier, Window

ORDERS = 8  # even: an order and its reverse
SEED = 20261122

Words = frozenset[int]
Order = tuple[int, ...]


class WordAttribution(NamedTuple):
    """Characters `[start, end)` of the sentence, and what that word adds to the logit."""

    start: int
    end: int
    attribution: float


class Explanation(NamedTuple):
    """A sentence's logit, its logit with every word hidden, and the words whose attributions sum to the difference.

    A sentence that is longer than the model's limit is explained by its part with the largest logit; the words of the
    other parts are not listed.
    """

    logit: float
    baseline: float
    words: list[WordAttribution]


def explain(classifier: GraphClassifier, sentence: str, orders: int = ORDERS) -> Explanation:
    """Attributions of a sentence's words, in order. Raises as `classifier.classify`."""
    window = decisive_window(classifier, sentence)
    ranges = window.words.ranges
    drawn = list(sampled_orders(len(ranges), orders))
    shown = sets_on_the_way(drawn)
    values = dict(zip(shown, values_of(classifier, window, shown), strict=True))
    attributions = shapley_values(values, drawn)
    words = [WordAttribution(*place, value) for place, value in zip(ranges, attributions, strict=True)]
    return Explanation(values[frozenset(range(len(ranges)))], values[frozenset()], words)


def decisive_window(classifier: GraphClassifier, sentence: str) -> Window:
    """The part of a sentence that decides: of several the one with the largest logit."""
    windows = classifier.windows([sentence])
    logits = [scores.logit for scores in classifier.scores(windows)]
    return windows[logits.index(max(logits))]


def values_of(classifier: GraphClassifier, window: Window, shown: Sequence[Words]) -> list[float]:
    """The logit of a window with only some of its words, for each of `shown`."""
    pieces = _pieces_of(window)
    masked = [
        window._replace(hidden=[piece for word, its in enumerate(pieces) if word not in words for piece in its])
        for words in shown
    ]
    return [scores.logit for scores in classifier.scores(masked)]


def _pieces_of(window: Window) -> list[range]:
    """The pieces of each word: from its first one to the next word's; the last piece of a window is special."""
    bounds = [*window.words.first_piece, len(window.ids) - 1]
    return [range(start, end) for start, end in pairwise(bounds)]


def sampled_orders(words: int, orders: int, seed: int = SEED) -> Iterator[Order]:
    """Orders in which words may come, each followed by its reverse: an even number of them.

    >>> list(sampled_orders(3, 2))
    [(1, 0, 2), (2, 0, 1)]
    """
    rng = random.Random(seed)
    for _ in range(-(-orders // 2)):
        order = list(range(words))
        rng.shuffle(order)
        yield tuple(order)
        yield tuple(reversed(order))


def sets_on_the_way(orders: Iterable[Order]) -> list[Words]:
    """Every set of words that some order passes through, once.

    >>> [sorted(words) for words in sets_on_the_way([(1, 0), (0, 1)])]
    [[], [1], [0, 1], [0]]
    """
    found: dict[Words, None] = {}
    for order in orders:
        for words in accumulate(order, _with, initial=frozenset[int]()):
            found.setdefault(words)
    return list(found)


def _with(words: Words, word: int) -> Words:
    return words | {word}


def shapley_values(values: Mapping[Words, float], orders: Sequence[Order]) -> list[float]:
    """What each word adds, averaged over orders. Sums are exact, so the same on any machine.

    >>> together = {frozenset(): 0.0, frozenset({0}): 1.0, frozenset({1}): 0.0, frozenset({0, 1}): 3.0}
    >>> shapley_values(together, [(0, 1), (1, 0)])
    [2.0, 1.0]
    """
    added: list[list[float]] = [[] for _ in orders[0]]
    for order in orders:
        steps = accumulate(order, _with, initial=frozenset[int]())
        for word, (before, after) in zip(order, pairwise(steps), strict=True):
            added[word].append(values[after] - values[before])
    return [math.fsum(parts) / len(parts) for parts in added]
