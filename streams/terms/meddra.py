"""MedDRA's ASCII files: LLT and PT names to PTs, the hierarchy above them, and standardised queries (SMQs)."""

from __future__ import annotations

from pathlib import Path

from streams.terms.tables import lines_of, rows_of
from streams.terms.vocabulary import Vocabulary, built

__all__ = ["read_meddra"]

_NARROW = "2"  # term_scope in smq_content.asc: 1 broad, 2 narrow
_PT, _LLT, _SMQ = "4", "5", "0"  # term_level there


def read_meddra(folder: Path) -> Vocabulary:
    """Current and non-current LLTs and PTs. Raises ConfigurationError naming file and line.

    `above` of a PT: HLT, HLGT and SOC of its primary path. `groups`: of each SMQ its active PTs, once narrow and once
    narrow and broad, with those of the SMQs below it.
    """
    names = {row[0]: row[1] for row in rows_of(folder / "pt.asc", "$", 2)}
    entries = [(name, [name]) for name in names.values()]
    of_llt = {}
    for row in rows_of(folder / "llt.asc", "$", 3):
        of_llt[row[0]] = row[2]
        if row[2] in names:
            entries.append((row[1], [names[row[2]]]))
    above = {}
    if (folder / "mdhier.asc").exists():
        for row in rows_of(folder / "mdhier.asc", "$", 12):
            if row[11] == "Y":
                above[row[4]] = (row[5], row[6], row[7])
    return built("events", "meddra", _version(folder), entries, above=above, groups=_smqs(folder, names, of_llt))


def _version(folder: Path) -> str:
    for place in (folder, folder.parent):
        if (place / "meddra_release.asc").exists():
            return lines_of(place / "meddra_release.asc")[0].partition("$")[0] or "unknown"
    return "unknown"


def _smqs(folder: Path, names: dict[str, str], of_llt: dict[str, str]) -> dict[str, frozenset[str]]:
    if not (folder / "smq_list.asc").exists() or not (folder / "smq_content.asc").exists():
        return {}
    titles = {row[0]: row[1] for row in rows_of(folder / "smq_list.asc", "$", 2)}
    own: dict[str, set[tuple[str, bool]]] = {code: set() for code in titles}
    below: dict[str, set[str]] = {code: set() for code in titles}
    for row in rows_of(folder / "smq_content.asc", "$", 7):
        smq, code, level, scope, active = row[0], row[1], row[2], row[3], row[6] == "A"
        if smq not in titles or not active:
            continue
        if level == _SMQ:
            below[smq].add(code)
        elif (pt := names.get(code if level == _PT else of_llt.get(code, ""))) is not None and level in (_PT, _LLT):
            own[smq].add((pt, scope == _NARROW))

    def gathered(code: str, seen: frozenset[str]) -> set[tuple[str, bool]]:
        if code in seen or code not in own:
            return set()
        return own[code].union(*(gathered(child, seen | {code}) for child in below[code]))

    groups = {}
    for code, title in sorted(titles.items()):
        found = gathered(code, frozenset())
        groups[f"{title} (narrow)"] = frozenset(pt for pt, narrow in found if narrow)
        groups[f"{title} (broad)"] = frozenset(pt for pt, _ in found)
    return groups
