"""Training sentences with words exchanged and ends cut off, for teachers to label: what they think around the data.

A student that sees its teacher's opinion on the training sentences alone learns little more than their labels, which
the teacher has by heart. Variants need not be good sentences, for nobody says what they are but the teacher. After
Tang et al. 2019, "Distilling task-specific knowledge from BERT into simple neural networks", arXiv:1903.12136.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from training.batches import UNLABELLED
from training.data import Sentence, normal_form

EXCHANGED = 0.1  # share of words
CUT = 0.3  # share of variants that are a part of their sentence
SHORTEST = 0.5  # of the sentence's words


def variant(words: Sequence[str], pool: Sequence[str], rng: random.Random) -> list[str]:
    """A sentence's words with about a tenth exchanged for words of `pool`, sometimes only a part of them.

    >>> variant("fever after the second dose of it".split(), ["rash"], random.Random(1))
    ['the', 'second', 'dose']
    """
    kept = list(words)
    if rng.random() < CUT:
        length = rng.randint(max(1, int(SHORTEST * len(kept))), len(kept))
        start = rng.randint(0, len(kept) - length)
        kept = kept[start : start + length]
    return [rng.choice(pool) if rng.random() < EXCHANGED else word for word in kept]


def varied(corpus: Sequence[Sentence], share: float, taken: set[str], rng: random.Random) -> list[Sentence]:
    """Variants of training sentences, as many as `share` of them, half of positive ones where there are enough.

    `taken` are normal forms that may not come. They have no label of their own: only teachers can say what they are.
    """
    count = int(share * len(corpus))
    pool = [word for sentence in corpus for word in sentence.text.split()]
    seen = set(taken)
    made: list[Sentence] = []
    for positive in (True, False):
        sources = [s for s in corpus if s.positive is positive and len(s.text.split()) > 3]
        for source in rng.choices(sources, k=count // 2) if sources else ():
            text = " ".join(variant(source.text.split(), pool, rng))
            if (key := normal_form(text)) not in seen:
                seen.add(key)
                made.append(Sentence(text, source.document, f"{UNLABELLED}varied", False))
    return made
