"""Other names in real sentences: a model should read the sentence and not remember the drug.

Negatives are treated like positives (their drugs are found by name), or else a rare name would tell the label.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise

from training.augment.names import Names, is_plural
from training.data import Range, Sentence

Edit = tuple[int, int, str]
_WORD = re.compile(r"[A-Za-z][\w-]{3,}")
_NO_NOUN = re.compile(
    r"(?i)\b(?:may|can|could|to|not|became|become|is|was|were|are|be|been|being) $"
)  # verb, adjective
_VOWEL = re.compile(r"(?i)(?!eu|one|uni(?!n)|use|ut|ur[ei])[aeiou]")


def apply_edits(sentence: Sentence, edits: list[Edit]) -> Sentence | None:
    """The sentence with ranges replaced and its spans moved along; None where an edit crosses the edge of a span."""
    edits = sorted(edits)
    if any(first[1] > second[0] for first, second in pairwise(edits)):
        return None
    edges = {edge for span in (*sentence.drugs, *sentence.effects) for edge in span}
    if any(start < edge < end for start, end, _ in edits for edge in edges):
        return None
    moved = {edge: edge + sum(len(new) - (end - start) for start, end, new in edits if end <= edge) for edge in edges}
    parts, at = [], 0
    for start, end, new in edits:
        parts += [sentence.text[at:start], new]
        at = end
    text = "".join([*parts, sentence.text[at:]])
    drugs = tuple((moved[start], moved[end]) for start, end in sentence.drugs)
    effects = tuple((moved[start], moved[end]) for start, end in sentence.effects)
    return replace(sentence, text=text, drugs=drugs, effects=effects)


def substituted(sentence: Sentence, names: Names, rng: random.Random) -> Sentence | None:
    """The sentence with other drugs and, where they stand alone, other effects; None where nothing can be exchanged.

    A drug's every mention gets the same new name. Effects keep plural and capital; abbreviations are left.
    """
    drugs = _drug_ranges(sentence, names)
    edits = [(start, end, new) for (start, end), new in _new_drugs(sentence.text, drugs, names, rng)]
    for span in sentence.effects:
        others = [other for other in (*drugs, *sentence.effects) if other != span]
        alone = all(other[1] <= span[0] or span[1] <= other[0] for other in others)
        if alone and not _NO_NOUN.search(sentence.text[: span[0]]):
            new = _new_effect(sentence.text[slice(*span)], names, rng)
            edits += [(*span, new)] if new else []
    if not edits:
        return None
    edits += [edit for start, _, new in edits if (edit := _article(sentence.text, start, new))]
    result = apply_edits(sentence, edits)
    return replace(result, corpus="augmented:substitution") if result else None


def _drug_ranges(sentence: Sentence, names: Names) -> list[Range]:
    """Marked drugs and their unmarked repetitions; in a sentence without marks, words that name a known drug."""
    if not sentence.spans_known:
        return [(m.start(), m.end()) for m in _WORD.finditer(sentence.text) if m[0].casefold() in names.drug_words]
    ranges = set(sentence.drugs)
    for start, end in sentence.drugs:
        for match in re.finditer(rf"(?<!\w){re.escape(sentence.text[start:end])}(?!\w)", sentence.text):
            if all(match.end() <= a or b <= match.start() for a, b in (*ranges, *sentence.effects)):
                ranges.add((match.start(), match.end()))
    return sorted(ranges)


def _new_drugs(text: str, ranges: list[Range], names: Names, rng: random.Random) -> list[tuple[Range, str]]:
    chosen: dict[str, str] = {}
    result = []
    for start, end in ranges:
        old = text[start:end]
        if old.casefold() not in chosen:
            chosen[old.casefold()] = names.drug(rng)
        new = chosen[old.casefold()]
        result.append(((start, end), _cased(new, old)))
    return result


def _new_effect(old: str, names: Names, rng: random.Random) -> str | None:
    """Another effect of the same number, or None for what is no plain noun phrase."""
    if old.isupper() or len(old.split()) > 4:
        return None
    for _ in range(20):
        new = names.effect(rng, "abstract")
        if is_plural(new) == is_plural(old):
            return _cased(new, old)
    return None


def _cased(new: str, old: str) -> str:
    """The new name with the capital of the old one.

    >>> _cased("lithium", "Aspirin"), _cased("lithium", "aspirin"), _cased("lithium", "CDDP")
    ('Lithium', 'lithium', 'lithium')
    """
    return new[0].upper() + new[1:] if old[:1].isupper() and not old.isupper() else new


def _article(text: str, start: int, new: str) -> Edit | None:
    """`a` or `an` before a new name, where it has to change."""
    match = re.search(r"(?<!\w)([Aa])(n?) $", text[:start])
    if not match or bool(match[2]) == bool(_VOWEL.match(new)):
        return None
    return (match.start(1), match.end(2), match[1] + ("n" if not match[2] else ""))
