"""The challenge sentences: what an item is, and what the file must obey.

The rule by which sentences are labelled stands in README.md beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from training.data import normal_form

SENTENCES = Path(__file__).with_name("sentences.jsonl")
KINDS = (
    "negation",
    "history",
    "family",
    "hypothetical",
    "indication",
    "therapeutic",
    "uncertainty",
    "two-drugs",
    "plain",
)
ORIGINS = ("hand", "template")
REGISTERS = (
    "discharge note",
    "telegram",
    "nurse call",
    "case report",
    "patient post",
    "pharmacist note",
    "spontaneous report",
)


class ChallengeError(ValueError):
    """The challenge file does not obey its rules; the message names file and line."""


class Blame(NamedTuple):
    """A drug and an effect, each in the sentence's own words."""

    drug: str
    effect: str


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sentence. `asserted`: a drug that harmed somebody, and how. `denied`: what a hasty reader might blame.

    Neither list is complete. A drug or effect is named by words that occur once in the text.
    """

    id: str
    kind: str
    origin: str
    register: str
    text: str
    asserted: tuple[Blame, ...]
    denied: tuple[Blame, ...]

    @property
    def positive(self) -> bool:
        """Whether the sentence asserts an adverse drug event."""
        return bool(self.asserted)


def words_at(text: str, words: str) -> list[tuple[int, int]]:
    """Ranges of whole words in a text, case and all.

    >>> words_at("No rash, not even a rash-like redness, no rashes.", "rash")
    [(3, 7), (20, 24)]
    """
    return [match.span() for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)]


def load_items(path: Path = SENTENCES) -> list[Item]:
    """The items of a challenge file, in order. Raises ChallengeError, and OSError if the file can't be read."""
    items: list[Item] = []
    ids: set[str] = set()
    texts: set[str] = set()
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            item = msgspec.json.decode(line, type=Item)
        except msgspec.MsgspecError as error:
            raise ChallengeError(f"{path.name}, line {number}: {error}") from error
        faults = _faults(item)
        if item.id in ids:
            faults.append(f"id {item.id} was there before")
        if normal_form(item.text) in texts:
            faults.append("the sentence was there before")
        if faults:
            raise ChallengeError(f"{path.name}, line {number}: {'; '.join(faults)}")
        ids.add(item.id)
        texts.add(normal_form(item.text))
        items.append(item)
    return items


def _faults(item: Item) -> list[str]:
    """What is wrong with one item by itself."""
    known = (("kind", item.kind, KINDS), ("origin", item.origin, ORIGINS), ("register", item.register, REGISTERS))
    faults = [f"{field} {value!r} is none of {', '.join(all_)}" for field, value, all_ in known if value not in all_]
    pairs: Sequence[Blame] = item.asserted + item.denied
    if len(set(pairs)) != len(pairs):
        faults.append("a pair is there twice")
    for words in sorted({words for pair in pairs for words in pair}):
        times = len(words_at(item.text, words))
        if times != 1:
            faults.append(f"{words!r} occurs {times} times in the text, not once")
    return faults
