"""The form that every corpus is read into, and the fold that a document lies in."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

SEED = 20261122  # published: the ten folds of every figure in docs/results/model.md
FOLDS = 10

Range = tuple[int, int]


class CorpusError(ValueError):
    """A corpus file does not read as documented; the message names file and line."""


@dataclass(frozen=True)
class Sentence:
    """One labelled sentence. Ranges are character offsets, end exclusive; `pairs` index `drugs` and `effects`.

    `spans_known` is False where the corpus marks no drug and effect (PsyTAR, negatives): no span loss is taken there.
    """

    text: str
    document: str
    corpus: str
    positive: bool
    drugs: tuple[Range, ...] = ()
    effects: tuple[Range, ...] = ()
    pairs: frozenset[tuple[int, int]] = frozenset()
    withdrawal_only: bool = False

    @property
    def spans_known(self) -> bool:
        """Whether the corpus marks drugs and effects here."""
        return bool(self.drugs or self.effects)


def normal_form(text: str) -> str:
    """What two sentences must share to be the same sentence."""
    return re.sub(r"\s+", " ", text).strip().casefold()


def fold_of(document: str, seed: int = SEED, folds: int = FOLDS) -> int:
    """The fold of a document: a hash of seed and id, so independent of every other document.

    >>> fold_of("10048291") == fold_of("10048291")
    True
    """
    digest = hashlib.sha256(f"{seed}:{document}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % folds


def span_at(text: str, start: int, words: str) -> Range | None:
    """The range of `words` at `start`, white space counting as equal; None where the text reads otherwise.

    >>> span_at("acute  renal failure", 0, "acute renal ")
    (0, 12)
    """
    match = re.compile(r"\s+".join(map(re.escape, words.split()))).match(text, start)
    return match.span() if match else None
