"""RxNorm's RRF files: every name of a drug to its ingredients."""

from __future__ import annotations

from pathlib import Path

from streams.terms.tables import rows_of
from streams.terms.vocabulary import Vocabulary, built

__all__ = ["read_rxnorm"]

# From a concept to what it is made of. RXNREL.RRF reads backwards: its second concept has the relation to its first.
_TOWARDS_INGREDIENTS = {
    "consists_of", "contains", "form_of", "has_ingredient", "has_ingredients", "has_part", "tradename_of",
}  # fmt: skip
_INGREDIENT = "IN"


def read_rxnorm(folder: Path) -> Vocabulary:
    """Unsuppressed names of all sources, for each concept that leads to ingredients. Raises ConfigurationError.

    Without `RXNREL.RRF` only ingredients and their synonyms are known. A salt (PIN) stands for its ingredient.
    """
    ingredients: dict[str, str] = {}
    named: dict[str, set[str]] = {}
    for row in rows_of(folder / "RXNCONSO.RRF", "|", 17):
        concept, source, kind, name, suppressed = row[0], row[11], row[12], row[14], row[16]
        if suppressed not in ("N", ""):
            continue
        named.setdefault(concept, set()).add(name)
        if source == "RXNORM" and kind == _INGREDIENT:
            ingredients[concept] = name
    leads: dict[str, set[str]] = {}
    version = "without relations"
    if (folder / "RXNREL.RRF").exists():
        version = "with relations"
        for row in rows_of(folder / "RXNREL.RRF", "|", 8):
            if row[7] in _TOWARDS_INGREDIENTS and row[0] and row[4]:
                leads.setdefault(row[4], set()).add(row[0])
    names = []
    for concept, spellings in sorted(named.items()):
        found = _reached(concept, leads, ingredients)
        names += [(name, found) for name in sorted(spellings) if found]
    return built("drugs", "rxnorm", _release(folder) or version, names)


def _reached(concept: str, leads: dict[str, set[str]], ingredients: dict[str, str]) -> list[str]:
    """Ingredients that a concept leads to; one that is an ingredient itself goes no further."""
    seen, todo, found = {concept}, [concept], set()
    while todo:
        at = todo.pop()
        if at in ingredients:
            found.add(ingredients[at])
            continue
        todo += [other for other in leads.get(at, ()) if other not in seen]
        seen.update(leads.get(at, ()))
    return sorted(found)


def _release(folder: Path) -> str:
    """The release date in the name of the release's folder (RxNorm_full_05062024), if it has kept it."""
    for place in (folder, folder.parent):
        tail = place.resolve().name.rpartition("_")[2]
        if tail.isdigit() and len(tail) == 8:
            return tail
    return ""
