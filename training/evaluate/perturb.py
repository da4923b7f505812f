"""Sentences made harder without changing what they say, their marked spans carried along.

Everything is deterministic: what happens to a sentence is drawn from a hash of the seed, the perturbation and its text.
An edit that would cut a marked span's edge is not made, so a span still marks the same words, as they are now written.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from training.data import Sentence

SEED = 5
TYPO_RATE = 0.1  # of the words of five letters and more

Range = tuple[int, int]


class Edit(NamedTuple):
    """Characters `[start, end)` of the old text become `new`."""

    start: int
    end: int
    new: str


@dataclass(frozen=True)
class Perturbation:
    """A named way to write a sentence differently. `edits` may overlap spans but not each other."""

    name: str
    description: str
    edits: Callable[[Sentence, random.Random], Iterable[Edit]]

    def __call__(self, sentence: Sentence) -> Sentence:
        """The sentence as perturbed; itself where nothing applies."""
        digest = hashlib.sha256(f"{SEED}:{self.name}:{sentence.text}".encode()).digest()
        return edited(sentence, self.edits(sentence, random.Random(int.from_bytes(digest[:8], "big"))))


def edited(sentence: Sentence, edits: Iterable[Edit]) -> Sentence:
    """The sentence with edits made and spans moved; edits that cut the edge of a span, or meet an earlier one, are not.

    >>> s = Sentence("Severe rash on lithium", "1", "test", True, ((15, 22),), ((7, 11),), frozenset({(0, 0)}))
    >>> new = edited(s, [Edit(0, 6, "Bad"), Edit(15, 22, "valproate")])
    >>> new.text, [new.text[a:b] for a, b in (*new.effects, *new.drugs)]
    ('Bad rash on valproate', ['rash', 'valproate'])
    """
    edges = {edge for span in (*sentence.drugs, *sentence.effects) for edge in span}
    made: list[Edit] = []
    for edit in sorted(edits):
        cuts = any(edit.start < edge < edit.end for edge in edges)
        if edit.start < edit.end and not cuts and (not made or made[-1].end <= edit.start):
            made.append(edit)
    if not made:
        return sentence
    parts, at = [], 0
    for edit in made:
        parts += [sentence.text[at : edit.start], edit.new]
        at = edit.end
    text = "".join([*parts, sentence.text[at:]])

    def moved(edge: int) -> int:
        return edge + sum(len(e.new) - (e.end - e.start) for e in made if e.end <= edge)

    drugs, effects = (tuple((moved(a), moved(b)) for a, b in spans) for spans in (sentence.drugs, sentence.effects))
    return replace(sentence, text=text, drugs=drugs, effects=effects)


# ---------------------------------------------------------------- typos

# One key beside each letter, on a QWERTY keyboard.
_NEIGHBOURS = dict(zip("abcdefghijklmnopqrstuvwxyz", "svxswdfguhjknmiowearycqztx", strict=True))


def _mistyped(word: str, rng: random.Random) -> str:
    """One slip inside the word: two letters swapped, one left out, one doubled, or the key beside it. Ends stay."""
    at = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[: at + 1] + word[at:]
    return word[:at] + _NEIGHBOURS.get(word[at].lower(), word[at]) + word[at + 1 :]


def _typos(sentence: Sentence, rng: random.Random) -> Iterable[Edit]:
    words = [match.span() for match in re.finditer(r"[A-Za-z]{5,}", sentence.text)]
    chosen = [span for span in words if rng.random() < TYPO_RATE]
    if words and not chosen:
        chosen = [rng.choice(words)]
    for start, end in chosen:
        yield Edit(start, end, _mistyped(sentence.text[start:end], rng))


# ---------------------------------------------------------------- case


def _upper(sentence: Sentence, _: random.Random) -> Iterable[Edit]:
    """ASCII letters only: no letter may become two."""
    return (Edit(*m.span(), m.group().upper()) for m in re.finditer(r"[a-z]", sentence.text))


def _lower(sentence: Sentence, _: random.Random) -> Iterable[Edit]:
    return (Edit(*m.span(), m.group().lower()) for m in re.finditer(r"[A-Z]", sentence.text))


# ---------------------------------------------------------------- abbreviations

# As clinicians write them in notes. Longest first where one holds another.
ABBREVIATIONS = {
    "acute renal failure": "ARF",
    "acute myocardial infarction": "AMI",
    "myocardial infarction": "MI",
    "blood pressure": "BP",
    "heart rate": "HR",
    "shortness of breath": "SOB",
    "white blood cell": "WBC",
    "computed tomography": "CT",
    "chronic kidney disease": "CKD",
    "congestive heart failure": "CHF",
    "urinary tract infection": "UTI",
    "rheumatoid arthritis": "RA",
    "multiple sclerosis": "MS",
    "secondary to": "2/2",
    "associated with": "assoc w/",
    "history of": "h/o",
    "treated with": "tx w/",
    "due to": "d/t",
    "year-old": "yo",
    "year old": "yo",
    "twice daily": "bid",
    "three times daily": "tid",
    "intravenous": "IV",
    "intravenously": "IV",
    "intramuscular": "IM",
    "subcutaneous": "SC",
    "orally": "po",
    "patient": "pt",
    "patients": "pts",
    "treatment": "tx",
    "therapy": "tx",
    "diagnosis": "dx",
    "symptoms": "sx",
    "history": "hx",
    "without": "w/o",
    "with": "w/",
    "male": "M",
    "female": "F",
    "woman": "F",
    "women": "F",
    "days": "d",
    "weeks": "wks",
    "months": "mos",
    "hours": "hrs",
    "following": "s/p",
    "increased": "incr",
    "decreased": "decr",
    "bilateral": "b/l",
    "approximately": "~",
    "discontinued": "d/c'd",
    "discontinuation": "d/c",
    "medication": "med",
    "medications": "meds",
    "administration": "admin",
    "temperature": "temp",
    "laboratory": "lab",
    "abdominal": "abd",
    "respiratory": "resp",
    "hemoglobin": "Hgb",
    "potassium": "K",
    "sodium": "Na",
}
_ABBREVIATED = re.compile(
    r"\b(?:" + "|".join(sorted(map(re.escape, ABBREVIATIONS), key=len, reverse=True)) + r")\b", re.IGNORECASE
)


def _abbreviated(sentence: Sentence, _: random.Random) -> Iterable[Edit]:
    return (Edit(*m.span(), ABBREVIATIONS[m.group().lower()]) for m in _ABBREVIATED.finditer(sentence.text))


# ---------------------------------------------------------------- drugs


def unseen_drugs(known: Iterable[str], unseen: Sequence[str]) -> Perturbation:
    """Replace drugs by names of `unseen`: whatever is marked as a drug, and every word that is one of `known`.

    Two mentions of one drug get the same new name. The case of the first letter stays.
    """
    words = frozenset(name.casefold() for name in known)

    def edits(sentence: Sentence, rng: random.Random) -> Iterable[Edit]:
        found = set(sentence.drugs)
        found |= {m.span() for m in re.finditer(r"[A-Za-z]+", sentence.text) if m.group().casefold() in words}
        names = sorted({sentence.text[a:b].casefold() for a, b in found})
        others = dict(zip(names, rng.sample(unseen, len(names)), strict=True))
        for start, end in found:
            old = sentence.text[start:end]
            new = others[old.casefold()]
            yield Edit(start, end, new.capitalize() if old[:1].isupper() else new)

    return Perturbation("unseen drugs", "drugs replaced by names that are in no training sentence", edits)


PERTURBATIONS = (
    Perturbation("typos", "a slip in one in ten words of five letters and more, at least one a sentence", _typos),
    Perturbation("upper case", "all letters upper case", _upper),
    Perturbation("lower case", "all letters lower case", _lower),
    Perturbation("abbreviations", f"{len(ABBREVIATIONS)} words and phrases as notes abbreviate them", _abbreviated),
)
