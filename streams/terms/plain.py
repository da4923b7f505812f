"""Drug and event spans to terms: what makes two mentions the same term. Pure, and the same on every machine.

No foreign vocabulary is used: a span and a term differ only by case, accents' composition, white space, punctuation at
the ends, determiners, a dose (drugs) and the plural (events). `VOCABULARY_VERSION` changes with any rule, because a
rule decides what is counted together; alerts carry it.
"""

from __future__ import annotations

import re
import unicodedata

VOCABULARY_VERSION = "plain-1"
MAX_CHARACTERS = 300

_EDGES = " \t\n\r.,;:!?'\"()[]{}<>/\\|-–—*•_`~“”‘’"
_DETERMINER = re.compile(r"^(?:an?|the|his|her|their|its|this|that|these|those|some|any)\s+")
_DOSE = re.compile(r"\s+\d[\d.,/-]*\s*(?:mg|mcg|µg|μg|ug|g|kg|ml|l|iu|units?|%|mmol|meq)\b.*$")
_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")
# Words in -s that are no plurals. Endings that never are: -ss, -us, -is, -os.
_NO_PLURALS = """
    aids ascites atlas bias biceps caries diabetes faeces feces forceps gas herpes hives measles mumps news pancreas
    rabies rickets scabies series shingles tics triceps
"""
_SINGULAR = frozenset(_NO_PLURALS.split())
_PLURALS = {"ies": "y", "shes": "sh", "ches": "ch", "sses": "ss", "xes": "x"}


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _POSSESSIVE.sub("", re.sub(r"\s+", " ", text))
    text = re.sub(r"\s*([-–—/])\s*", lambda match: "-" if match[1] != "/" else "/", text)
    return text.strip(_EDGES)


def _bounded(text: str) -> str | None:
    return text if text and len(text) <= MAX_CHARACTERS and any(c.isalpha() for c in text) else None


def singular(word: str) -> str:
    """The word without a regular plural ending.

    >>> [singular(word) for word in ("seizures", "rashes", "neuropathies", "diabetes", "nausea", "thrombosis")]
    ['seizure', 'rash', 'neuropathy', 'diabetes', 'nausea', 'thrombosis']
    """
    if len(word) < 5 or not word.endswith("s") or word in _SINGULAR or word.endswith(("ss", "us", "is", "os")):
        return word
    for ending, replacement in _PLURALS.items():
        if word.endswith(ending):
            return word.removesuffix(ending) + replacement
    return word[:-1]


def drug_term(span: str) -> str | None:
    """The term of a drug span; None if no word is left.

    >>> drug_term(" Naproxen 250 mg b.i.d."), drug_term("the  AMIODARONE,"), drug_term("- 12 -")
    ('naproxen', 'amiodarone', None)
    """
    text = _DETERMINER.sub("", _plain(span))
    return _bounded(_DOSE.sub("", text).strip(_EDGES))


def event_term(span: str) -> str | None:
    """The term of an event span: its last word in the singular; None if no word is left.

    >>> event_term("Grand-mal Seizures"), event_term("a  toxic epidermal\\nnecrolysis."), event_term("***")
    ('grand-mal seizure', 'toxic epidermal necrolysis', None)
    """
    text = _DETERMINER.sub("", _plain(span))
    head, space, last = text.rpartition(" ")
    return _bounded(head + space + singular(last))
