"""A case's names to terms, and a monitor's vocabularies read and checked. Nothing is dropped: what no vocabulary knows
keeps the name it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from streams.errors import ConfigurationError
from streams.events import Assessment, CaseFacts, Fuzzy, PairScore
from streams.monitors import Monitor
from streams.monitors.terms import VocabularySource
from streams.terms.loaders import load_vocabulary
from streams.terms.plain import VOCABULARY_VERSION
from streams.terms.vocabulary import Kind, Match, Terms, Vocabulary

__all__ = ["load_terms", "translated", "vocabulary_version"]


def vocabulary_version(monitor: Monitor) -> str:
    """What alerts carry: the rules of plain spelling, and each vocabulary by its digest."""
    settings = monitor.terms
    parts = [VOCABULARY_VERSION]
    for kind, sources in (("drugs", settings.drugs), ("events", settings.events)):
        parts += [f"{kind} {source.format}@{source.digest}" for source in sources]
    return ", ".join(parts if settings.fuzzy is None else [*parts, f"fuzzy {settings.fuzzy}"])


def load_terms(monitor: Monitor) -> Terms:
    """The vocabularies of a monitor. Raises ConfigurationError if one can't be read or is not the one it names."""
    settings = monitor.terms
    return Terms(
        [_checked(monitor, "drugs", source) for source in settings.drugs],
        [_checked(monitor, "events", source) for source in settings.events],
        settings.fuzzy,
    )


def _checked(monitor: Monitor, kind: Kind, source: VocabularySource) -> Vocabulary:
    vocabulary = load_vocabulary(kind, source.format, None if source.path is None else Path(source.path))
    if source.digest != vocabulary.digest:
        said = "names no digest" if source.digest is None else f"says {source.digest}"
        raise ConfigurationError(
            f"monitor {monitor.name}: vocabulary {source.format} of {kind} ({vocabulary.version}) has the digest "
            f'{vocabulary.digest}, the monitor {said}: write digest = "{vocabulary.digest}" into it, under a new name '
            "if it has run, since other terms make other alerts"
        )
    return vocabulary


def translated(assessment: Assessment, terms: Terms) -> Assessment:
    """The same case with terms for names. A name of several terms (a combination) is a case of each.

    Names that become one term are one: the largest score counts, and the words that made it. Pure.
    """
    if not terms:
        return assessment
    drugs, fuzzy = _mapped(assessment.drugs, terms.drug)
    events, more = _mapped(assessment.events, terms.event)
    names = sorted({term for found in drugs for term in found})
    effects = sorted({term for found in events for term in found})
    scores = dict.fromkeys(effects, 0)
    for found, score in zip(events, assessment.scores, strict=True):
        for term in found:
            scores[term] = max(scores[term], score)
    return msgspec.structs.replace(
        assessment,
        drugs=names,
        events=effects,
        scores=list(scores.values()),
        pairs=None if assessment.pairs is None else _pairs(assessment.pairs, drugs, events, names, effects),
        facts=_facts(assessment, terms),
        fuzzy=sorted([*fuzzy, *more], key=lambda found: (found.term, found.spelled)),
    )


def _mapped(names: Sequence[str], match: Callable[[str], Match]) -> tuple[list[tuple[str, ...]], list[Fuzzy]]:
    """The terms of each name (itself, if it has none), and what was matched by likeness."""
    mapped, fuzzy = [], []
    for name in names:
        found = match(name)
        mapped.append(found.terms or (name,))
        if found.similarity < 100:
            fuzzy += [Fuzzy(term, name, found.similarity) for term in found.terms]
    return mapped, fuzzy


def _pairs(
    pairs: Sequence[PairScore],
    drugs: Sequence[tuple[str, ...]],
    events: Sequence[tuple[str, ...]],
    names: list[str],
    effects: list[str],
) -> list[PairScore]:
    drug_at, event_at = ({name: i for i, name in enumerate(known)} for known in (names, effects))
    best: dict[tuple[int, int], PairScore] = {}
    for pair in pairs:
        for drug in drugs[pair.drug]:
            for event in events[pair.event]:
                key = (drug_at[drug], event_at[event])
                known = best.get(key)
                if known is None or pair.micro > known.micro or (pair.micro == known.micro and known.span is None):
                    best[key] = PairScore(*key, pair.micro, pair.span)
    return [pair for _, pair in sorted(best.items())]


def _facts(assessment: Assessment, terms: Terms) -> CaseFacts | None:
    """Lots name their drug, so they follow it."""
    facts = assessment.facts
    if facts is None or not facts.lots:
        return facts
    lots = {
        msgspec.structs.replace(lot, drug=drug)
        for lot in facts.lots
        for drug in (terms.drug(lot.drug).terms or (lot.drug,))
    }
    ordered = sorted(lots, key=lambda lot: (lot.drug, lot.lot or "", lot.manufacturer or ""))
    return msgspec.structs.replace(facts, lots=tuple(ordered))
