"""One training and one development set out of labelled sentences: duplicates, conflicts, folds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from training.data.psytar import load_psytar
from training.data.sentence import SEED, Sentence, fold_of, normal_form


@dataclass
class Split:
    """Training and development sentences, and what was removed on the way."""

    training: list[Sentence]
    development: list[Sentence]
    removed: dict[str, int] = field(default_factory=dict)


def deduplicate(sentences: Iterable[Sentence]) -> tuple[list[Sentence], dict[str, int]]:
    """One sentence a normal form (positive before negative, then smallest document), and the counts of what went.

    >>> a = Sentence("Case report.", "2", "ade", False)
    >>> deduplicate([a, Sentence("Case report.", "1", "ade", False)])[0][0].document
    '1'
    """
    best: dict[str, Sentence] = {}
    removed = {"duplicate": 0, "conflict": 0}
    for sentence in sentences:
        key = normal_form(sentence.text)
        other = best.setdefault(key, sentence)
        if other is sentence:
            continue
        removed["duplicate" if other.positive == sentence.positive else "conflict"] += 1
        if (not sentence.positive, sentence.document) < (not other.positive, other.document):
            best[key] = sentence
    return list(best.values()), removed


def split_ade(sentences: Iterable[Sentence], fold: int = 0, seed: int = SEED) -> Split:
    """Development = the documents of one fold; training = the others, without any sentence development also has.

    The copies of development are judged before duplicates are removed, so no copy can hide in another document.
    """
    everything = list(sentences)
    held = [s for s in everything if fold_of(s.document, seed) == fold]
    rest = [s for s in everything if fold_of(s.document, seed) != fold]
    development, removed = deduplicate(held)
    known = {normal_form(s.text) for s in development}
    clean = [s for s in rest if normal_form(s.text) not in known]
    training, removed_training = deduplicate(clean)
    counts = {f"development_{reason}": n for reason, n in removed.items()}
    counts |= {f"training_{reason}": n for reason, n in removed_training.items()}
    counts["training_also_in_development"] = len(rest) - len(clean)
    return Split(training, development, counts)


def split_psytar(folder: Path) -> Split:
    """The publisher's training and development files; sentences of both stay in development only."""
    development, removed = deduplicate(load_psytar(folder / "binary" / "dev.csv"))
    known = {normal_form(s.text) for s in development}
    rest = load_psytar(folder / "binary" / "train.csv")
    clean = [s for s in rest if normal_form(s.text) not in known]
    training, removed_training = deduplicate(s for s in clean if not s.withdrawal_only)
    counts = {f"development_{reason}": n for reason, n in removed.items()}
    counts |= {f"training_{reason}": n for reason, n in removed_training.items()}
    counts["training_also_in_development"] = len(rest) - len(clean)
    counts["training_withdrawal_only"] = sum(s.withdrawal_only for s in clean)
    return Split(training, development, counts)
