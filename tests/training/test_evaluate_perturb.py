"""A perturbed sentence says the same, and its spans mark the same words."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import Sentence
from training.evaluate.perturb import ABBREVIATIONS, PERTURBATIONS, Edit, edited, unseen_drugs
from training.evaluate.robustness import drug_perturbation
from training.names import kept_for_testing

WORDS = ["Severe", "rash", "lithium", "the", "patient", "was", "treated with", "due to", "liver failure", "40-year-old"]
UNSEEN = ["zorvatinib", "melquatide", "brixolol", "pentorane", "sulvadoxin"]
DRUGS = unseen_drugs(["lithium"], UNSEEN)


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    """Words in a row, some of them marked; marks may overlap, and may begin within a word."""
    text = draw(st.sampled_from(["", " "])) + " ".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8)))
    edges = st.integers(0, len(text))
    marked = st.lists(st.tuples(edges, edges).map(sorted).filter(lambda p: p[0] < p[1]).map(tuple), max_size=3)
    drugs, effects = tuple(sorted(set(draw(marked)))), tuple(sorted(set(draw(marked))))
    return Sentence(text, "1", "test", True, drugs, effects, frozenset())


@st.composite
def with_edits(draw: st.DrawFn) -> tuple[Sentence, list[Edit]]:
    sentence = draw(sentences())
    edges = st.integers(0, len(sentence.text))
    edits = st.tuples(edges, edges, st.text("xyz", min_size=1, max_size=4)).map(lambda e: Edit(*sorted(e[:2]), e[2]))
    return sentence, draw(st.lists(edits, max_size=5))


@given(with_edits())
@settings(deadline=None)
def test_a_span_marks_its_own_text_with_the_edits_within_it(case: tuple[Sentence, list[Edit]]) -> None:
    # The recount: the old text as a list of characters, each edit put in place of its first; a span is a slice of it.
    sentence, edits = case
    new = edited(sentence, edits)
    pieces = list(sentence.text)
    spans = (*sentence.drugs, *sentence.effects)
    done: list[Edit] = []
    for edit in sorted(edits):
        whole = edit.start < edit.end and all(
            edit.end <= a or edit.start >= b or (a <= edit.start and edit.end <= b) for a, b in spans
        )
        if whole and all(edit.start >= other.end for other in done):
            pieces[edit.start : edit.end] = [edit.new, *[""] * (edit.end - edit.start - 1)]
            done.append(edit)
    made_in_recount = "".join(pieces)
    if new.text == made_in_recount:  # edits that lie around a whole span are told apart below
        for (a, b), (c, d) in zip(spans, (*new.drugs, *new.effects), strict=True):
            assert new.text[c:d] == "".join(pieces[a:b])


@given(sentences(), st.sampled_from([*PERTURBATIONS, DRUGS]))
@settings(deadline=None)
def test_a_perturbation_is_the_same_every_time_and_keeps_the_labels(sentence: Sentence, perturb: object) -> None:
    assert callable(perturb)
    new = perturb(sentence)
    assert new == perturb(sentence)
    assert (new.positive, new.document, new.pairs) == (sentence.positive, sentence.document, sentence.pairs)
    assert len(new.drugs) == len(sentence.drugs)
    for a, b in (*new.drugs, *new.effects):
        assert 0 <= a < b <= len(new.text)


@given(sentences())
@settings(deadline=None)
def test_case_changes_no_offset(sentence: Sentence) -> None:
    upper, lower = (p for p in PERTURBATIONS if p.name.endswith("case"))
    for new, expected in ((upper(sentence), sentence.text.upper()), (lower(sentence), sentence.text.lower())):
        assert new.text == expected
        assert (new.drugs, new.effects) == (sentence.drugs, sentence.effects)


def test_case_leaves_letters_alone_that_would_become_two() -> None:
    upper = next(p for p in PERTURBATIONS if p.name == "upper case")
    sentence = Sentence("weiß: rash", "1", "t", True, (), ((6, 10),))
    assert upper(sentence).text == "WEIß: RASH"
    assert upper(sentence).effects == sentence.effects


@given(sentences())
@settings(deadline=None)
def test_a_typo_keeps_first_and_last_letter_and_all_else(sentence: Sentence) -> None:
    typos = next(p for p in PERTURBATIONS if p.name == "typos")
    plain = Sentence(sentence.text, "1", "test", True)
    before, after = (re.findall(r"\S+", s.text) for s in (plain, typos(plain)))
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        assert (a[0], a[-1]) == (b[0], b[-1])
        assert abs(len(a) - len(b)) <= 2  # "40-year-old" is one of two words at most
        if len(a) < 5:
            assert a == b


def test_abbreviations_are_whole_words() -> None:
    abbreviate = next(p for p in PERTURBATIONS if p.name == "abbreviations")
    sentence = Sentence("Patient, treated with lithium; withdrawal without delay.", "1", "t", True, ((22, 29),))
    new = abbreviate(sentence)
    assert new.text == "pt, tx w/ lithium; withdrawal w/o delay."
    assert [new.text[a:b] for a, b in new.drugs] == ["lithium"]
    assert len(ABBREVIATIONS) == len({k.casefold() for k in ABBREVIATIONS})


def test_a_drug_gets_one_new_name_wherever_it_stands() -> None:
    sentence = Sentence("Lithium rash: lithium-induced by Haldol", "1", "t", True, ((14, 21), (33, 39)), ((8, 12),))
    new = DRUGS(sentence)
    first, second = (new.text[a:b] for a, b in new.drugs)
    assert first in UNSEEN
    assert second.lower() in UNSEEN
    assert second[0].isupper()
    assert first != second.lower()
    assert new.text == f"{first.capitalize()} rash: {first}-induced by {second}"


def test_an_edit_across_the_edge_of_a_span_is_not_made() -> None:
    sentence = Sentence("abcdef", "1", "t", True, ((2, 4),))
    assert edited(sentence, [Edit(1, 3, "x")]) is sentence
    assert edited(sentence, [Edit(1, 5, "x")]) is sentence
    assert edited(sentence, [Edit(2, 4, "xyz"), Edit(4, 6, "")]).text == "abxyz"
    rng = random.Random(0)
    assert rng.random() == pytest.approx(0.8444, abs=1e-4)


def test_new_drug_names_are_in_no_training_sentence_and_in_no_augmentation(shared_data: Path) -> None:
    from training.augment.names import names_of

    training = [
        Sentence(
            "Lithium and erythropoietin caused rash.", "1", "ade", True, ((0, 7),), ((34, 38),), frozenset({(0, 0)})
        )
    ]
    perturb = drug_perturbation(shared_data, training)
    seen = set()
    for i in range(300):
        new = perturb(Sentence(f"{i} lithium caused rash.", "2", "ade", True))
        seen.add(new.text.split()[1])
    assert len(seen) > 100
    assert "erythropoietin" not in seen
    assert all(kept_for_testing(name) for name in seen)
    assert not seen & {name.casefold() for name in names_of(training, shared_data).listed_drugs}
