"""Drug and effect names to fill skeletons with: from training documents, and from vocabularies read at run time."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from training.augment.words import CLINICAL_EFFECTS, COMMON_DRUGS, LAY_EFFECTS
from training.data import CorpusError, Sentence
from training.names import kept_for_testing

_EPONYM = re.compile(r"'s\b|^\S*[a-z][A-Z]|^[A-Z]{2,}|-[A-Z]|^(?:Horner|Fournier|Kounis|Sweet|Cushing|Coombs|QT|Q-T)")
_NO_NAME = re.compile(
    r"(?i)\b(?:died|death|fatal\w*|effects?|events?|levels?|concentrations?|episodes?|reported|toxicity)\b"
)
_COMMON = tuple(name for name in COMMON_DRUGS if not kept_for_testing(name))
_PLURAL = re.compile(r"(?<![suia])s$")


@dataclass(frozen=True)
class Names:
    """What may be filled in. `drugs` and `effects` are annotated in training documents; the others are vocabularies."""

    drugs: tuple[str, ...]
    effects: tuple[str, ...]
    listed_drugs: tuple[str, ...] = ()
    listed_effects: tuple[str, ...] = ()

    @cached_property
    def drug_words(self) -> frozenset[str]:
        """Names of training documents that are one word, case folded."""
        return frozenset(name.casefold() for name in self.drugs if " " not in name)

    def drug(self, rng: random.Random, register: str = "abstract") -> str:
        """A drug: outside of abstracts mostly one that everybody takes, otherwise from training documents or lists."""
        draw = rng.random()
        if register != "abstract" and draw < 0.4:
            return rng.choice(_COMMON)
        return rng.choice(self.listed_drugs if self.listed_drugs and draw > 0.75 else self.drugs)

    def effect(self, rng: random.Random, register: str) -> str:
        """An effect in the words of a register: patients say little that a case report's title says."""
        lay, clinical = {"patient": (0.75, 0.15), "nurse": (0.45, 0.4), "abstract": (0.0, 0.1)}.get(
            register, (0.1, 0.5)
        )
        draw = rng.random()
        if draw < lay:
            return rng.choice(LAY_EFFECTS)
        if draw < lay + clinical:
            return rng.choice(CLINICAL_EFFECTS)
        listed = self.listed_effects and rng.random() < 1 / 4
        return rng.choice(self.listed_effects if listed else self.effects)


def is_plural(name: str) -> bool:
    """Whether a verb after the name would be plural, as far as its last letters tell.

    >>> [is_plural(name) for name in ("seizures", "psychosis", "rash")]
    [True, False, False]
    """
    return bool(_PLURAL.search(name))


def names_of(sentences: Iterable[Sentence], data: Path | None = None) -> Names:
    """Names annotated in `sentences` (give training documents only) and, with the data folder, vocabularies' names.

    Effects come from positive sentences: what others mark is a disease. Where nothing is marked, everyday names serve.
    Raises CorpusError where a vocabulary lacks its columns.
    """
    drugs: set[str] = set()
    effects: set[str] = set()
    for sentence in sentences:
        drugs.update(sentence.text[start:end] for start, end in sentence.drugs)
        if sentence.positive:
            effects.update(sentence.text[start:end].strip() for start, end in sentence.effects)
    usable = (name for name in drugs if re.fullmatch(r"[A-Za-z][\w-]{2,}(?: [a-z][\w-]+)?", name))
    good_drugs = _distinct(usable) or _COMMON
    words = {word.casefold() for name in good_drugs for word in name.split()}
    good_effects = _distinct(_lowered(name) for name in effects if _usable(name, words)) or CLINICAL_EFFECTS
    if data is None:
        return Names(good_drugs, good_effects)
    return Names(good_drugs, good_effects, _vocabulary_drugs(data), _vocabulary_effects(data))


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """One spelling a name, in an order that no hash seed changes."""
    return tuple({name.casefold(): name for name in sorted(names)}.values())


def _lowered(name: str) -> str:
    return name if _EPONYM.search(name) else name[0].lower() + name[1:]


def _usable(name: str, drug_words: set[str]) -> bool:
    """A short noun phrase without a drug in it and without a bare abbreviation."""
    words = name.split()
    return (
        len(words) <= 4
        and re.fullmatch(r"[A-Za-z][A-Za-z' -]{3,}", name) is not None
        and not name.isupper()
        and not _NO_NAME.search(name)
        and not any(part.casefold() in drug_words for word in words for part in (word, *word.split("-")))
    )


def _column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if name not in (rows.fieldnames or ()):
            raise CorpusError(f"{path.name}, line 1: no column {name!r}")
        return [row[name] for row in rows]


def _vocabulary_drugs(data: Path) -> tuple[str, ...]:
    """One-word generics that DrugBank and Drugs@FDA share (no foods, no code names of trials), and one-word brands."""
    approved = data / "vocab_drugsfda" / "brand_to_ingredient.csv"
    sold = {name.split()[0].casefold() for text in _column(approved, "ActiveIngredient") for name in _parts(text)}
    names = _column(data / "vocab_drugbank_open" / "drugbank_vocabulary.csv", "Common name")
    generics = [n.lower() for n in names if re.fullmatch(r"[A-Z][a-z]{4,}", n) and n.casefold() in sold]
    brands = [n.capitalize() for n in _column(approved, "DrugName") if re.fullmatch(r"[A-Z]{5,12}", n)]
    return _distinct(name for name in (*generics, *brands) if not kept_for_testing(name))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[;,]", text) if part.strip()]


def _vocabulary_effects(data: Path) -> tuple[str, ...]:
    terms: Sequence[str] = _column(data / "vocab_ctcae" / "ctcae_v5.csv", "tox_desc")
    return _distinct(_lowered(t) for t in terms if re.fullmatch(r"[A-Za-z' -]{4,40}", t) and "Other" not in t)
