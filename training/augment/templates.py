"""Skeletons of sentences, and the labelled sentences that are grown from them.

A folder in skeletons/ holds one register (how a note, a telegram, a list, an abstract, a patient, a nurse writes), a
file in it one kind of assertion. `+ text` is a skeleton that reports harm done to somebody, `- text` one that does not;
many lines come in twins that differ in the words that matter. In the text `<a|b>` is a choice, `[a]` may be
left out, both nest; `{drug}` and `{effect}` are filled with names, the same slot twice with the same name, `{drug2}`
with another. Groups after a colon say who is blamed for what: `{drug:a}` pairs with `{effect:a}` alone. `{other}` is a
drug that is blamed for nothing; `{sign}` reads like an effect and is none (a denied symptom, a reason to treat); the
rest are lists in words.py. An arrow `->` is text.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.augment.names import Names
from training.augment.words import AFTER, BEFORE, PERSON_SLOTS, PERSONS, WORDS
from training.data import Range, Sentence

FOLDER = Path(__file__).parent / "skeletons"
_BRANCH = re.compile(r"<((?:[^<>\[\]]|(?<=-)>)*)(?<!-)>|\[((?:[^<>\[\]]|(?<=-)>)*)\]")
_SLOT = re.compile(r"\{(([A-Za-z]+)\d?)(?::(\w))?\}")
_KNOWN = {"drug", "other", "effect", "sign", *WORDS, *PERSON_SLOTS}
TEMPLATE_KINDS = (
    "plain",
    "negation",
    "history",
    "family",
    "hypothetical",
    "indication",
    "therapeutic",
    "general",
    "uncertainty",
    "two_drugs",
)


class SkeletonError(ValueError):
    """A skeleton file does not read; the message names file and line."""


@dataclass(frozen=True)
class Skeleton:
    """One sentence with slots. Its document is a hash of its text: adding others moves none to another fold."""

    register: str
    kind: str
    positive: bool
    text: str

    @property
    def document(self) -> str:
        """What all sentences grown from it name as their document."""
        return "template:" + hashlib.sha256(self.text.encode()).hexdigest()[:8]


def read_skeletons(path: Path) -> list[Skeleton]:
    """The skeletons of REGISTER/KIND.txt. Raises SkeletonError with file and line."""
    register, kind = path.parent.name, path.stem
    if kind not in TEMPLATE_KINDS:
        raise SkeletonError(f"{register}/{path.name}: unknown kind {kind!r}, there are {', '.join(TEMPLATE_KINDS)}")
    skeletons: list[Skeleton] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        sign, _, text = line.partition(" ")
        reason = _fault(text) if sign in ("+", "-") else "neither + nor - before a text"
        if reason:
            raise SkeletonError(f"{register}/{path.name}, line {number}: {reason}")
        skeletons.append(Skeleton(register, kind, sign == "+", text))
    return skeletons


def _fault(text: str) -> str:
    """Why a skeleton's text can't be grown, or an empty string."""
    left = text
    while branch := _BRANCH.search(left):
        if any(part.count("{") != part.count("}") for part in (branch[1] or branch[2] or "").split("|")):
            return f"a slot is cut by {branch[0]!r}"
        left = _BRANCH.sub(lambda branch: (branch[1] or branch[2] or "").replace("|", " "), left)
    unknown = {match[2] for match in _SLOT.finditer(left)} - _KNOWN
    if unknown:
        return f"unknown slot {sorted(unknown)}"
    if re.search(r"[\[\]<>{}|]", _SLOT.sub("", left).replace("->", "")):
        return "a bracket is not closed, or a bar stands outside of brackets"
    return ""


@cache
def skeletons() -> tuple[Skeleton, ...]:
    """Every skeleton that is shipped, by register, kind and line."""
    return tuple(skeleton for path in sorted(FOLDER.glob("*/*.txt")) for skeleton in read_skeletons(path))


def grow(skeleton: Skeleton, names: Names, rng: random.Random) -> Sentence:
    """A labelled sentence from a skeleton: branches chosen, slots filled, spans and pairs noted."""
    text = _framed(skeleton, rng)
    parts: list[str] = []
    spans: list[tuple[str, str, Range]] = []  # slot without digit, group, where
    filled: dict[str, str] = {f"{slot}:": form for slot, form in zip(PERSON_SLOTS, rng.choice(PERSONS), strict=True)}
    length = end = 0
    for slot in _SLOT.finditer(text):
        before = text[end : slot.start()]
        key = f"{slot[1]}:{slot[3] or ''}"
        if key not in filled:
            filled[key] = _fill(slot[2], skeleton.register, names, rng, set(filled.values()))
        name = filled[key]
        parts += [before, name]
        start = length + len(before)
        length = start + len(name)
        spans.append((slot[2], slot[3] or "", (start, length)))
        end = slot.end()
    parts.append(text[end:])
    return _finish("".join(parts), skeleton, spans, rng)


def _framed(skeleton: Skeleton, rng: random.Random) -> str:
    """The text with its branches chosen, and now and then words before or after it that bear on nothing."""
    text = skeleton.text
    while _BRANCH.search(text):
        text = _BRANCH.sub(lambda branch: _branch(branch, rng), text)
    if rng.random() < 0.2:
        before = rng.choice(BEFORE[skeleton.register])
        text = before + ("{pt}" + text.removeprefix("{Pt}") if text.startswith("{Pt}") else lowered(text))
    if rng.random() < 0.2 and text[-1] != "?":
        stop = "." if text.endswith(".") else ""
        text = (text.removesuffix(".") + rng.choice(AFTER[skeleton.register]) + stop).replace("..", ".")
    return text


def lowered(text: str) -> str:
    """A sentence as it goes on after a comma: no capital, unless the first word always has one.

    >>> lowered("The rash went."), lowered("ALLERGIES: none."), lowered("I took it.")
    ('the rash went.', 'ALLERGIES: none.', 'I took it.')
    """
    return text[0].lower() + text[1:] if re.match(r"[A-Z][a-z]", text) else text


def joined(first: Sentence, second: Sentence, rng: random.Random) -> Sentence:
    """Two statements in one sentence, harm in it if either tells of harm. Spans and pairs of both are kept."""
    start = first.text.rstrip(".") + rng.choice(("; ", ", ", ", and ", " - ", "; ", ". "))
    drugs, effects = len(first.drugs), len(first.effects)
    return Sentence(
        start + (second.text if start.endswith(". ") else lowered(second.text)),
        first.document,
        "augmented:two_statements",
        first.positive or second.positive,
        first.drugs + tuple((a + len(start), b + len(start)) for a, b in second.drugs),
        first.effects + tuple((a + len(start), b + len(start)) for a, b in second.effects),
        first.pairs | {(drug + drugs, effect + effects) for drug, effect in second.pairs},
    )


def _branch(branch: re.Match[str], rng: random.Random) -> str:
    if branch[1] is not None:
        return rng.choice(str(branch[1]).split("|"))
    return str(branch[2]) if rng.random() < 0.5 else ""


def _fill(slot: str, register: str, names: Names, rng: random.Random, taken: set[str]) -> str:
    if slot in WORDS:
        return rng.choice(WORDS[slot])
    while True:
        name = names.drug(rng, register) if slot in ("drug", "other") else names.effect(rng, register)
        if name not in taken:
            return name


def _finish(text: str, skeleton: Skeleton, spans: Iterable[tuple[str, str, Range]], rng: random.Random) -> Sentence:
    """Case and full stop as the register has them. No change of length before the last character: offsets hold."""
    draw = rng.random()
    loose = skeleton.register in ("telegram", "patient", "nurse", "section")
    if loose and draw < 0.15:
        text = text.lower()
    elif skeleton.register in ("telegram", "section", "report") and draw > 0.95 and len(text.upper()) == len(text):
        text = text.upper()
    else:
        text = text[0].upper() + text[1:]
    if loose and rng.random() < 0.3:
        text = text.removesuffix(".")
    drugs = sorted({where for slot, _, where in spans if slot in ("drug", "other")})
    effects = sorted({where for slot, _, where in spans if slot == "effect"})
    pairs = {
        (drugs.index(drug), effects.index(effect))
        for slot, group, drug in spans
        for other, effect_group, effect in spans
        if skeleton.positive and slot == "drug" and other == "effect" and group == effect_group
    }
    corpus = f"augmented:{skeleton.kind}"
    return Sentence(text, skeleton.document, corpus, skeleton.positive, tuple(drugs), tuple(effects), frozenset(pairs))
