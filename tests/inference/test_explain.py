"""What words add to a sentence's logit: laws of Shapley values, and of hiding words from the shipped model."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from itertools import chain, combinations, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.artefact import load_artefact
from inference.explain import (
    ORDERS,
    Words,
    decisive_window,
    explain,
    sampled_orders,
    sets_on_the_way,
    shapley_values,
    values_of,
)
from inference.onnx import OnnxClassifier

BLAMED = [
    "Acute hepatitis developed two weeks after she started ketoconazole.",
    "We describe a patient with lithium-induced nephrogenic diabetes insipidus.",
    "Neutropenia was caused by clozapine and resolved when it was stopped.",
    "A fatal case of toxic epidermal necrolysis following phenytoin therapy is reported.",
]


@pytest.fixture(scope="module")
def classifier() -> Iterator[OnnxClassifier]:
    built = OnnxClassifier(load_artefact())
    yield built
    built.close()


# ---------------------------------------------------------------- the arithmetic


def subsets(words: int) -> list[Words]:
    return [frozenset(s) for s in chain.from_iterable(combinations(range(words), n) for n in range(words + 1))]


def by_definition(values: Mapping[Words, float], words: int) -> list[float]:
    """Shapley 1953: over the sets without a word, |S|! (n - |S| - 1)! / n! times what it adds."""
    return [
        sum(
            math.factorial(len(s)) * math.factorial(words - len(s) - 1) / math.factorial(words)
            * (values[s | {word}] - values[s])
            for s in subsets(words) if word not in s
        )
        for word in range(words)
    ]  # fmt: skip


@given(st.lists(st.floats(-10, 10), min_size=16, max_size=16))
def test_over_all_orders_they_are_the_values_of_the_definition(worth: list[float]) -> None:
    values = dict(zip(subsets(4), worth, strict=True))
    assert shapley_values(values, list(permutations(range(4)))) == pytest.approx(by_definition(values, 4), abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=32, max_size=32), st.integers(1, 9))
def test_over_any_orders_they_sum_to_all_less_none(worth: list[float], orders: int) -> None:
    values = dict(zip(subsets(5), worth, strict=True))
    found = shapley_values(values, list(sampled_orders(5, orders)))
    assert sum(found) == pytest.approx(values[frozenset(range(5))] - values[frozenset()], abs=1e-9)


@given(st.integers(0, 30))
def test_orders_are_the_same_each_time_and_come_with_their_reverse(words: int) -> None:
    drawn = list(sampled_orders(words, ORDERS))
    assert drawn == list(sampled_orders(words, ORDERS))
    assert len(drawn) == ORDERS
    assert all(sorted(order) == list(range(words)) for order in drawn)
    assert all(one == other[::-1] for one, other in zip(drawn[::2], drawn[1::2], strict=True))
    assert len(sets_on_the_way(drawn)) <= max(1, ORDERS * (words - 1) + 2)


# ---------------------------------------------------------------- the model


@pytest.mark.parametrize("sentence", BLAMED)
def test_attributions_sum_to_the_logit_less_that_of_no_words(classifier: OnnxClassifier, sentence: str) -> None:
    found = explain(classifier, sentence, 2)
    assert found.logit == classifier.raw([sentence])[0].logit
    assert math.fsum(word.attribution for word in found.words) == pytest.approx(found.logit - found.baseline, abs=1e-9)
    assert (
        " ".join(sentence[w.start : w.end] for w in found.words).split()
        == " ".join(sentence.replace(".", " .").replace("-", " - ").split()).split()
    )
    assert explain(classifier, sentence, 2) == found


def test_a_hidden_word_is_not_read(classifier: OnnxClassifier) -> None:
    """Whatever stands in its place, the logit has the same bits."""
    window = decisive_window(classifier, BLAMED[2])
    pieces = window.words.first_piece
    hidden = range(pieces[4], pieces[5])  # clozapine
    one = window._replace(hidden=hidden)
    other = one._replace(ids=[2000 if at in hidden else piece for at, piece in enumerate(window.ids)])
    shown = other._replace(hidden=())
    logits = [scores.logit for scores in classifier.scores([one, other, shown, window])]
    assert logits[0] == logits[1]
    assert len(set(logits)) == 3


def test_values_of_sets_do_not_depend_on_each_other(classifier: OnnxClassifier) -> None:
    window = decisive_window(classifier, BLAMED[0])
    shown = sets_on_the_way(sampled_orders(len(window.words.ranges), 2))
    together = values_of(classifier, window, shown)
    assert together[::7] == [values_of(classifier, window, [words])[0] for words in shown[::7]]


def test_deleting_the_words_that_add_most_lowers_the_logit_more_than_random_words(classifier: OnnxClassifier) -> None:
    rng = random.Random(1)
    for sentence in BLAMED[::2]:
        words = explain(classifier, sentence, 4).words

        def without(deleted: set[int], sentence: str = sentence, words: list[tuple[int, int, float]] = words) -> float:  # type: ignore[assignment]
            kept = [sentence[start:end] for at, (start, end, _) in enumerate(words) if at not in deleted]
            return classifier.raw([" ".join(kept)])[0].logit

        ranked = sorted(range(len(words)), key=lambda at: -words[at].attribution)
        chance = [without(set(rng.sample(range(len(words)), 2))) for _ in range(10)]
        assert without(set(ranked[:2])) < sum(chance) / len(chance) - 2
        assert without(set(ranked[:2])) < without(set(ranked[-2:]))


def test_a_sentence_longer_than_the_model_is_explained_by_its_decisive_part(classifier: OnnxClassifier) -> None:
    filler = "the patient was seen in the clinic and the visit was without events and " * 8
    sentence = f"{filler}then severe rash after amoxicillin was noted."
    found = explain(classifier, sentence, 2)
    assert found.logit == classifier.raw([sentence])[0].logit
    shown = [sentence[word.start : word.end] for word in found.words]
    assert {"rash", "amoxicillin"} <= set(shown)
    assert len(shown) < len(sentence.split())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20))
def test_any_text_is_explained(classifier: OnnxClassifier, text: str) -> None:
    found = explain(classifier, text, 2)
    assert all(0 <= word.start < word.end <= len(text) for word in found.words)
    assert sum(word.attribution for word in found.words) == pytest.approx(found.logit - found.baseline, abs=1e-9)
