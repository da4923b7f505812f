"""Names to terms in a case: nothing is lost, nothing counts twice, scores and words follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.assess.assessor import Assessor, Origin
from streams.detect.contribution import contribution_of
from streams.errors import ConfigurationError
from streams.events import Assessment, CaseFacts, Fuzzy, Lot, PairScore, Span, encode
from streams.monitors import Monitor, Source, TermSettings, VocabularySource
from streams.terms.translate import load_terms, translated, vocabulary_version
from streams.terms.vocabulary import Terms, built

DRUGS = built("drugs", "csv", "1", [("brand", ["alpha"]), ("alpha", ["alpha"]), ("duo", ["alpha", "beta"])])
EVENTS = built("events", "csv", "1", [("hot", ["Fever"]), ("fever", ["Fever"]), ("red skin", ["Rash"])])
TERMS = Terms([DRUGS], [EVENTS], 85)
NAMES = ["brand", "alpha", "duo", "gamma", "unheard"]
EFFECTS = ["fever", "hot", "red skin", "sneeze"]
MEANT = {"brand": {"alpha"}, "alpha": {"alpha"}, "duo": {"alpha", "beta"}, "gamma": {"gamma"}, "unheard": {"unheard"}}
FELT = {"fever": "Fever", "hot": "Fever", "red skin": "Rash", "sneeze": "sneeze"}


def case(drugs: list[str], events: list[str], **changes: object) -> Assessment:
    values = {"scores": [1_000_000] * len(events)} | changes
    return Assessment("r", 0, 0, 0, 0, "c", 1, 0, sorted(drugs), sorted(events), **values)  # type: ignore[arg-type]


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(EFFECTS)))
def test_a_coded_case_is_one_of_each_term_that_its_names_stand_for(drugs: set[str], events: set[str]) -> None:
    found = translated(case(list(drugs), list(events)), TERMS)
    assert found.drugs == sorted(set().union(*(MEANT[d] for d in drugs)) if drugs else [])
    assert found.events == sorted({FELT[e] for e in events})
    assert found.scores == [1_000_000] * len(found.events)
    assert translated(found, TERMS) == found, "terms stand for themselves"


pairs = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 1_000_000)), unique_by=lambda p: p[:2], min_size=1
)


@given(pairs)
def test_pairs_follow_their_names_and_keep_the_largest_score_with_its_words(
    scored: list[tuple[int, int, int]],
) -> None:
    names, effects = sorted(NAMES), sorted(EFFECTS)
    told = [PairScore(d, e, micro, Span(names[d], effects[e])) for d, e, micro in sorted(scored)]
    best = [max((p.micro for p in told if p.event == e), default=0) for e in range(len(effects))]
    found = translated(case(names, effects, scores=best, pairs=told), TERMS)
    assert found.pairs is not None
    wanted: dict[tuple[str, str], int] = {}
    for d, e, micro in scored:
        for drug in MEANT[names[d]]:
            key = (drug, FELT[effects[e]])
            wanted[key] = max(micro, wanted.get(key, 0))
    assert {(found.drugs[p.drug], found.events[p.event]): p.micro for p in found.pairs} == wanted
    for pair in found.pairs:
        assert pair.span is not None
        assert found.drugs[pair.drug] in MEANT[pair.span.drug]
        assert found.events[pair.event] == FELT[pair.span.effect]
    assert [(p.drug, p.event) for p in found.pairs] == sorted((p.drug, p.event) for p in found.pairs)
    for event, score in zip(found.events, found.scores, strict=True):
        assert score == max((m for (_, e), m in wanted.items() if e == event), default=0)


def test_a_match_by_likeness_is_marked_up_to_the_evidence() -> None:
    names = built("drugs", "csv", "1", [("naproxen", ["naproxen"])])
    found = translated(case(["naproxin", "naproxen"], ["hot"]), Terms([names], [EVENTS], 85))
    assert (found.drugs, found.fuzzy) == (["naproxen"], [Fuzzy("naproxen", "naproxin", 87)])
    assert contribution_of(found, late=False).fuzzy == ("naproxen",)
    assert b"fuzzy" not in encode(translated(case(["naproxen"], ["hot"]), Terms([names], [EVENTS], 85)))


def test_lots_follow_their_drug() -> None:
    facts = CaseFacts(lots=(Lot("duo", "L1"), Lot("gamma", "L2")))
    found = translated(case(["duo", "gamma"], ["hot"], facts=facts), TERMS).facts
    assert found is not None
    assert found.lots == (Lot("alpha", "L1"), Lot("beta", "L1"), Lot("gamma", "L2"))


def test_without_vocabularies_a_case_stays_as_it_is() -> None:
    own = case(["Brand", "x"], ["Hot"])
    assert translated(own, Terms([], [])) is own
    assert vocabulary_version(Monitor(name="m", sources=(Source(topic="r"),))) == "plain-1"


def monitor(tmp_path: object, digest: str | None, path: str) -> Monitor:
    source = VocabularySource(format="csv", path=path, digest=digest)
    return Monitor(name="m", sources=(Source(topic="r"),), terms=TermSettings(events=(source,), fuzzy=90))


def test_a_vocabulary_is_part_of_the_settings_by_its_content_not_by_its_place(tmp_path) -> None:  # type: ignore[no-untyped-def]
    here, there = tmp_path / "a.csv", tmp_path / "b.csv"
    here.write_text("hot,Fever\n")
    there.write_text("hot,Fever\n")
    with pytest.raises(ConfigurationError, match="names no digest: write digest = ") as told:
        load_terms(monitor(tmp_path, None, str(here)))
    digest = str(told.value).split('digest = "')[1][:16]
    one, other = monitor(tmp_path, digest, str(here)), monitor(tmp_path, digest, str(there))
    assert load_terms(one).event("HOT").terms == load_terms(other).event("hot").terms == ("Fever",)
    assert one.settings_hash == other.settings_hash
    assert vocabulary_version(one) == f"plain-1, events csv@{digest}, fuzzy 90"
    there.write_text("hot,Pyrexia\n")
    with pytest.raises(ConfigurationError, match=f"the monitor says {digest}"):
        load_terms(other)
    assert one.settings_hash != monitor(tmp_path, "0" * 16, str(here)).settings_hash


def test_a_report_is_assessed_by_terms_and_keeps_what_nobody_knows() -> None:
    assessor = Assessor(Monitor(name="m", sources=(Source(topic="r"),)), b"key", TERMS)
    message = (
        b'{"type":"adverse_event","case_id":"c","received_at":946684800000,"events":["Hot","Sneezes"],'
        b'"products":[{"name":"Brand 20 mg"},{"name":"Gamma"}]}'
    )
    record = assessor.assess(Origin("r", 0, 0, 0, 946_684_800_000), message, [])
    assert isinstance(record, Assessment)
    assert (record.drugs, record.events, record.scores) == (["Gamma", "alpha"], ["Fever", "Sneezes"], [1_000_000] * 2)
