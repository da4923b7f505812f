"""A vocabulary: which terms a name stands for. Pure, and the same on every machine.

A name is looked up as `plain` spells it (case, accents, white space, dose, plural), so a vocabulary need not hold every
spelling. A name that stands for different terms in one vocabulary is ambiguous: it is left unmapped, not guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from streams.errors import ConfigurationError
from streams.terms.plain import drug_term, event_term

__all__ = ["Kind", "Match", "Terms", "Vocabulary", "built"]

Kind = Literal["drugs", "events"]
LEAST_FUZZY = 6  # characters: shorter names have too many neighbours
_PLAIN: dict[Kind, Callable[[str], str | None]] = {"drugs": drug_term, "events": event_term}


class Match(NamedTuple):
    """What a name stands for: sorted terms, none if it is unmapped; which vocabulary says so; and how alike (percent,
    100: the same name) the vocabulary's own spelling `via` is."""

    terms: tuple[str, ...]
    vocabulary: str = ""
    similarity: int = 100
    via: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """Names and what they stand for. `entries`: plain name -> sorted terms as the vocabulary spells them.

    `above`: of a term its broader ones, nearest first · `groups`: sets of terms by name (SMQs) · `ambiguous`: how many
    names were left out because they stand for different terms.
    """

    kind: Kind
    format: str
    version: str
    entries: Mapping[str, tuple[str, ...]]
    ambiguous: int = 0
    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for what the names map to, wherever the files lie."""
        lines = (f"{name}\t{'|'.join(terms)}\n" for name, terms in sorted(self.entries.items()))
        return hashlib.sha256("".join([f"{self.kind}\n", *lines]).encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """Format, version and digest."""
        return f"{self.format} {self.version}@{self.digest}"

    @cached_property
    def terms(self) -> frozenset[str]:
        """Every term that some name stands for."""
        return frozenset(term for terms in self.entries.values() for term in terms)


def built(
    kind: Kind,
    format_: str,
    version: str,
    names: Iterable[tuple[str, Iterable[str]]],
    *,
    above: Mapping[str, tuple[str, ...]] | None = None,
    groups: Mapping[str, frozenset[str]] | None = None,
) -> Vocabulary:
    """A vocabulary from (name, terms) pairs, in any order. A term's own name stands for it, whatever else is said.

    >>> vocabulary = built("events", "csv", "1", [("Fever", ["Pyrexia"]), ("Pyrexia", ["Pyrexia"]), ("cold", ["a"]),
    ...                                           ("Cold", ["b"])])
    >>> vocabulary.entries, vocabulary.ambiguous
    ({'fever': ('Pyrexia',), 'pyrexia': ('Pyrexia',)}, 1)
    """
    plain = _PLAIN[kind]
    found: dict[str, set[tuple[str, ...]]] = {}
    own: dict[str, set[tuple[str, ...]]] = {}
    for name, said in names:
        key, terms = plain(name), tuple(sorted(set(said)))
        if key is not None and terms:
            found.setdefault(key, set()).add(terms)
            if terms == (name,):
                own.setdefault(key, set()).add(terms)
    meant = {key: own.get(key, meanings) for key, meanings in found.items()}
    entries = {key: next(iter(meanings)) for key, meanings in sorted(meant.items()) if len(meanings) == 1}
    return Vocabulary(kind, format_, version, entries, len(meant) - len(entries), above or {}, groups or {})


class Terms:
    """What a monitor's vocabularies make of names: the first vocabulary that knows a name decides.

    `least`: similarity in percent from which a name that none knows is taken for one that looks alike (Levenshtein's
    normalised, by rapidfuzz); None: never. Of equally similar names with different terms none is taken.
    """

    def __init__(self, drugs: Sequence[Vocabulary], events: Sequence[Vocabulary], least: int | None = None) -> None:
        self.vocabularies: dict[Kind, tuple[Vocabulary, ...]] = {"drugs": tuple(drugs), "events": tuple(events)}
        self.least = least
        self.drug = lru_cache(maxsize=65_536)(lambda name: self._match("drugs", name))
        self.event = lru_cache(maxsize=65_536)(lambda name: self._match("events", name))
        if least is not None:
            _extract()

    def __bool__(self) -> bool:
        return any(self.vocabularies.values())

    def _match(self, kind: Kind, name: str) -> Match:
        key = _PLAIN[kind](name)
        if key is None:
            return Match(())
        for vocabulary in self.vocabularies[kind]:
            terms = vocabulary.entries.get(key)
            if terms is not None:
                return Match(terms, vocabulary.format, 100, key)
        if self.least is not None and len(key) >= LEAST_FUZZY:
            return self._alike(kind, key)
        return Match(())

    def _alike(self, kind: Kind, key: str) -> Match:
        assert self.least is not None
        best: list[tuple[float, str, Vocabulary]] = []
        for vocabulary in self.vocabularies[kind]:
            best += [(score, name, vocabulary) for name, score in _extract()(key, vocabulary.entries, self.least)]
        if not best:
            return Match(())
        top = max(score for score, _, _ in best)
        alike = sorted((name, v.format) for score, name, v in best if score == top)
        meanings = {v.entries[name] for score, name, v in best if score == top}
        if len(meanings) > 1:
            return Match(())
        return Match(meanings.pop(), alike[0][1], int(top), alike[0][0])


def _extract() -> Callable[[str, Mapping[str, object], int], list[tuple[str, float]]]:
    """The names most like a key, at least so similar: (name, similarity). Raises ConfigurationError: no rapidfuzz."""
    try:
        from rapidfuzz import process
        from rapidfuzz.distance import Levenshtein
    except ImportError:
        raise ConfigurationError("terms.fuzzy needs rapidfuzz: pip install 'vigilia[terms]'") from None

    def extract(key: str, names: Mapping[str, object], least: int) -> list[tuple[str, float]]:
        found = process.extract(
            key, names.keys(), scorer=Levenshtein.normalized_similarity, score_cutoff=least / 100, limit=5
        )
        return [(name, score * 100) for name, score, _ in found]

    return extract
