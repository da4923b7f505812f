"""Augmentation: offsets hold, labels balance in each register, the seed decides, nothing of development is used."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.augment import (
    DEFAULT_KINDS,
    TEMPLATE_KINDS,
    Names,
    Skeleton,
    SkeletonError,
    apply_edits,
    augmented,
    counts_of,
    grow,
    names_of,
    read_skeletons,
    skeletons,
    substituted,
)
from training.augment.names import is_plural
from training.augment.templates import joined
from training.augment.words import BEFORE, CLINICAL_EFFECTS, COMMON_DRUGS, LAY_EFFECTS
from training.data import Sentence, fold_of, load_ade, normal_form, split_ade
from training.names import kept_for_testing

NAMES = Names(
    drugs=("aspirin", "gold", "iron dextran", "lithium", "ibuprofen"),
    effects=("rash", "acute renal failure", "seizures", "ulcers", "anemia", "Raynaud's phenomenon"),
)


def marked(sentence: Sentence) -> tuple[list[str], list[str]]:
    return (
        [sentence.text[start:end] for start, end in sentence.drugs],
        [sentence.text[start:end] for start, end in sentence.effects],
    )


# ---------------------------------------------------------------- skeletons


def test_there_are_hundreds_of_skeletons_and_each_register_reports_and_does_not_in_about_equal_number() -> None:
    shipped = skeletons()
    assert len({s.text for s in shipped}) > 800
    assert len({(s.register, s.text) for s in shipped}) == len(shipped)
    registers = Counter((s.register, s.positive) for s in shipped)
    for register in BEFORE:
        share = registers[register, True] / (registers[register, True] + registers[register, False])
        assert 0.4 <= share <= 0.6, (register, share)
        assert {s.kind for s in shipped if s.register == register} == set(TEMPLATE_KINDS)
    for kind in TEMPLATE_KINDS:
        assert {s.positive for s in shipped if s.kind == kind} == {True, False}, kind


def test_what_reports_harm_names_who_is_blamed_and_what_does_not_pairs_nothing() -> None:
    rng = random.Random(1)
    for skeleton in skeletons():
        sentence = grow(skeleton, NAMES, rng)
        assert sentence.positive == skeleton.positive
        if not skeleton.positive:
            assert not sentence.pairs, skeleton
        elif skeleton.register != "patient":  # patients often don't say what they take
            assert sentence.pairs, skeleton


@given(st.sampled_from(skeletons()), st.integers(0, 2**32))
def test_every_span_of_a_grown_sentence_covers_exactly_a_name(skeleton: Skeleton, seed: int) -> None:
    sentence = grow(skeleton, NAMES, random.Random(seed))
    drugs, effects = marked(sentence)
    assert {d.casefold() for d in drugs} <= {d.casefold() for d in (*NAMES.drugs, *COMMON_DRUGS)}
    known = {e.casefold() for e in (*NAMES.effects, *LAY_EFFECTS, *CLINICAL_EFFECTS)}
    assert {e.casefold() for e in effects} <= known
    assert not re.search(r"[{}<\[\]|]", sentence.text), sentence.text
    assert all(0 <= drug < len(drugs) and 0 <= effect < len(effects) for drug, effect in sentence.pairs)


def test_only_the_drug_that_is_blamed_is_paired_and_groups_pair_among_themselves() -> None:
    one = Skeleton("note", "two_drugs", True, "{other} is fine, {drug} gave {obj} {effect}.")
    sentence = grow(one, NAMES, random.Random(0))
    assert len(sentence.drugs) == 2
    assert sentence.pairs == {(1, 0)}
    both = Skeleton("note", "two_drugs", True, "{drug:a} gave {effect:a}, {drug:b} {effect:b}, {drug:a} stopped.")
    assert grow(both, NAMES, random.Random(0)).pairs == {(0, 0), (1, 1), (2, 0)}


def test_the_same_slot_has_the_same_name_and_a_numbered_one_another() -> None:
    skeleton = Skeleton("abstract", "plain", True, "x {drug} {drug} {drug2} {effect} {effect2}")
    for seed in range(20):
        drugs, effects = marked(grow(skeleton, NAMES, random.Random(seed)))
        assert drugs[0] == drugs[1] != drugs[2]
        assert effects[0] != effects[1]


def test_a_sentence_of_two_statements_keeps_both_and_is_positive_if_either_is() -> None:
    rng = random.Random(4)
    harm = grow(Skeleton("note", "plain", True, "{drug} gave {effect}."), NAMES, rng)
    none = grow(Skeleton("note", "negation", False, "No {effect} on {drug}."), NAMES, rng)
    for first, second in ((harm, none), (none, harm), (none, none)):
        both = joined(first, second, rng)
        assert both.positive == (first.positive or second.positive)
        assert [name.casefold() for part in marked(both) for name in part] == [
            name.casefold() for one, two in zip(marked(first), marked(second), strict=True) for name in (*one, *two)
        ]
        told = {(both.text[slice(*both.drugs[d])], both.text[slice(*both.effects[e])]) for d, e in both.pairs}
        assert {(d.casefold(), e.casefold()) for d, e in told} == (
            {tuple(part[0].casefold() for part in marked(harm))} if both.positive else set()
        )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("no sign", "line 1: neither"),
        ("# A comment.\n\n+ {drugs}", r"line 3: unknown slot \['drugs'\]"),
        ("+ {drug}\n+ <a|b", "line 2: a bracket is not closed"),
        ("+ a|b", "line 1: .* a bar stands outside"),
        ("- <a|{dr>ug}", "line 1: a slot is cut by"),
    ],
)
def test_a_skeleton_file_that_does_not_read_names_file_and_line(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "note" / "plain.txt"
    path.parent.mkdir()
    path.write_text(lines)
    with pytest.raises(SkeletonError, match="note/plain.txt, " + message):
        read_skeletons(path)


def test_a_skeleton_file_of_no_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkeletonError, match="unknown kind 'odd', there are plain, negation"):
        read_skeletons(tmp_path / "note" / "odd.txt")


# ---------------------------------------------------------------- exchanged names


def test_every_mention_of_a_drug_changes_and_the_article_with_it() -> None:
    text = "A lithium overdose: lithium gave tremor."
    sentence = Sentence(text, "1", "ade", True, ((2, 9),), ((33, 39),), frozenset({(0, 0)}))
    made = substituted(sentence, Names(("aspirin",), ("ulcer",)), random.Random(0))
    assert made is not None
    (drug,), (effect,) = marked(made)
    assert made.text == f"An aspirin overdose: aspirin gave {effect}."
    assert drug == "aspirin"
    assert effect in ("ulcer", *CLINICAL_EFFECTS)
    assert (made.document, made.pairs, made.corpus) == ("1", sentence.pairs, "augmented:substitution")


def test_negatives_get_other_drugs_too_or_a_rare_name_would_tell_the_label() -> None:
    sentence = Sentence("Gold was given.", "1", "ade", False)
    made = substituted(sentence, Names(("gold",), ("rash",), ("bismuth",)), random.Random(3))
    assert made is not None
    assert made.text in ("Bismuth was given.", "Gold was given.")
    assert substituted(Sentence("It was a Tuesday.", "1", "ade", False), NAMES, random.Random(0)) is None


def test_effects_keep_their_number_and_abbreviations_stay() -> None:
    text = "Seizures and ARF by gold"
    sentence = Sentence(text, "1", "ade", True, ((20, 24),), ((0, 8), (13, 16)), frozenset({(0, 0)}))
    for seed in range(20):
        made = substituted(sentence, NAMES, random.Random(seed))
        assert made is not None
        effect, abbreviation = marked(made)[1]
        assert is_plural(effect)
        assert effect[0].isupper()
        assert abbreviation == "ARF"


@st.composite
def sentences_with_edits(draw: st.DrawFn) -> tuple[Sentence, list[tuple[int, int, str]]]:
    """Words, some of them marked, some of them replaced: a word is one edit, a mark is one or several words."""
    words = draw(st.lists(st.text("abcxyz", min_size=1, max_size=5), min_size=3, max_size=12))
    starts = [sum(len(word) + 1 for word in words[:i]) for i in range(len(words))]
    ranges = [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    places = st.integers(0, len(words) - 1)

    def span() -> tuple[int, int]:
        first, last = sorted((draw(places), draw(places)))
        return ranges[first][0], ranges[last][1]

    drugs = tuple(sorted({span() for _ in range(draw(st.integers(0, 3)))}))
    effects = tuple(sorted({span() for _ in range(draw(st.integers(0, 3)))}))
    chosen = draw(st.sets(places))
    edits = [(*ranges[i], draw(st.text("QRSTUV ", max_size=8))) for i in sorted(chosen)]
    return Sentence(" ".join(words), "1", "ade", True, drugs, effects), edits


@given(sentences_with_edits())
def test_after_edits_a_span_covers_its_words_with_the_edits_made_in_them(
    case: tuple[Sentence, list[tuple[int, int, str]]],
) -> None:
    sentence, edits = case
    made = apply_edits(sentence, edits)
    assert made is not None
    for before, after in ((sentence.drugs, made.drugs), (sentence.effects, made.effects)):
        for (start, end), (new_start, new_end) in zip(before, after, strict=True):
            expected = sentence.text[start:end]
            for a, b, new in sorted(edits, reverse=True):  # from the back: offsets before it stay
                if start <= a and b <= end:
                    expected = expected[: a - start] + new + expected[b - start :]
            assert made.text[new_start:new_end] == expected
    outside = "".join(c for c in sentence.text if c == " ").count(" ")
    assert made.text.count(" ") == outside + sum(new.count(" ") for _, _, new in edits)


def test_an_edit_across_the_edge_of_a_span_is_refused() -> None:
    sentence = Sentence("sodium warfarin", "1", "ade", True, ((7, 15),), ())
    assert apply_edits(sentence, [(0, 9, "x")]) is None
    assert apply_edits(sentence, [(0, 3, "x"), (2, 5, "y")]) is None
    made = apply_edits(sentence, [(0, 7, "")])
    assert made is not None
    assert marked(made)[0] == ["warfarin"]


# ---------------------------------------------------------------- all together


@pytest.fixture(scope="module")
def training(shared_data: Path) -> list[Sentence]:
    return split_ade(load_ade(shared_data / "ade_corpus_v2")).training


@pytest.fixture(scope="module")
def made(training: list[Sentence], shared_data: Path) -> list[Sentence]:
    return augmented(training, random.Random(7), share=0.1, names=names_of(training, shared_data))


def test_the_seed_decides(training: list[Sentence], made: list[Sentence], shared_data: Path) -> None:
    names = names_of(training, shared_data)
    assert augmented(training, random.Random(7), share=0.1, names=names) == made
    assert augmented(training, random.Random(8), share=0.1, names=names) != made


def test_half_are_positive_in_number_as_asked_and_none_is_there_already(
    training: list[Sentence], made: list[Sentence]
) -> None:
    assert len(made) == round(0.1 * len(training))
    assert 0.42 < sum(s.positive for s in made) / len(made) < 0.58
    texts = [normal_form(s.text) for s in made]
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {normal_form(s.text) for s in training}
    counts = counts_of(made)
    assert sum(map(sum, counts.values())) == len(made)
    expected = {f"augmented:{kind}" for kind in DEFAULT_KINDS} | {"augmented:two_statements"}
    assert set(counts) == expected


def test_spans_of_made_sentences_are_words_and_pairs_belong_to_positives(made: list[Sentence]) -> None:
    for sentence in made:
        for name in (*marked(sentence)[0], *marked(sentence)[1]):
            assert name
            assert name == name.strip()
        assert sentence.positive or not sentence.pairs


def test_nothing_of_the_development_fold_is_in_what_is_made(made: list[Sentence], shared_data: Path) -> None:
    ade = load_ade(shared_data / "ade_corpus_v2")
    split = split_ade(ade)
    assert all(fold_of(s.document) != 0 for s in made)
    held_only = {s.text[a:b].casefold() for s in split.development for a, b in s.drugs} - {
        s.text[a:b].casefold() for s in split.training for a, b in s.drugs
    }
    names = names_of(split.training)
    assert not held_only & {name.casefold() for name in names.drugs}
    with pytest.raises(ValueError, match="development fold 0"):
        augmented(ade, random.Random(0))


def test_names_kept_for_the_robustness_test_are_not_taken_from_lists(
    training: list[Sentence], shared_data: Path
) -> None:
    names = names_of(training, shared_data)
    assert len(names.listed_drugs) > 3_000
    assert not [name for name in names.listed_drugs if kept_for_testing(name)]
    rng = random.Random(0)
    kept = {names.drug(rng, "note") for _ in range(5_000)} - set(names.drugs)
    assert not [name for name in kept if kept_for_testing(name)]


def test_where_nothing_is_marked_everyday_names_serve_and_diseases_are_no_effects() -> None:
    bare = names_of(
        [Sentence("It was a Tuesday.", "n1", "own", False), Sentence("gout", "n2", "ncbi", False, (), ((0, 4),))]
    )
    assert set(bare.drugs) <= set(COMMON_DRUGS)
    assert bare.effects == CLINICAL_EFFECTS
    assert len(augmented([Sentence("Rash.", "n1", "own", True)] * 40, random.Random(0), share=1.0, names=bare)) > 10


def test_kinds_can_be_chosen_and_an_unknown_one_is_refused(training: list[Sentence]) -> None:
    some = training[:2000]
    chosen = augmented(some, random.Random(0), share=0.05, kinds={"negation": 1.0})
    assert set(counts_of(chosen)) <= {"augmented:negation", "augmented:two_statements"}
    only = augmented(some, random.Random(0), share=0.05, kinds={"substitution": 1.0})
    assert set(counts_of(only)) == {"augmented:substitution"}
    with pytest.raises(ValueError, match="unknown kind"):
        augmented(some, random.Random(0), kinds={"poetry": 1.0})
