"""The shipped classifier, on sentences written for this test."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.artefact import load_artefact
from inference.classifier import Classifier, Reading
from inference.onnx import OnnxClassifier
from streams.errors import PoisonInput, Unavailable

BLAMED = [
    ("Acute hepatitis developed two weeks after she started ketoconazole.", "ketoconazole", "hepatitis"),
    ("We describe a patient with lithium-induced nephrogenic diabetes insipidus.", "lithium", "diabetes insipidus"),
    ("Neutropenia was caused by clozapine and resolved when it was stopped.", "clozapine", "Neutropenia"),
    ("A fatal case of toxic epidermal necrolysis following phenytoin therapy is reported.", "phenytoin", "necrolysis"),
]
HARMLESS = [
    "The patient was seen in the clinic for her annual visit.",
    "Blood pressure was 120/80 and the lungs were clear.",
    "Thirty healthy volunteers were enrolled between March and May.",
    "The trial compared two doses of metformin in adults with type 2 diabetes.",
]


@pytest.fixture(scope="module")
def classifier() -> Iterator[OnnxClassifier]:
    built = OnnxClassifier(load_artefact())
    yield built
    built.close()


def test_it_is_a_classifier(classifier: OnnxClassifier) -> None:
    assert isinstance(classifier, Classifier)
    assert classifier.model == load_artefact().model


@pytest.mark.parametrize(("sentence", "drug", "effect"), BLAMED)
def test_a_blamed_drug_is_found_with_its_effect(
    classifier: OnnxClassifier, sentence: str, drug: str, effect: str
) -> None:
    (reading,) = classifier.classify([sentence])
    assert reading.probability > 0.5
    best = max(reading.pairs, key=lambda pair: pair.probability)
    assert reading.drugs[best.drug].text == drug
    assert effect in reading.effects[best.effect].text
    assert best.probability > 0.5


@pytest.mark.parametrize("sentence", HARMLESS)
def test_a_harmless_sentence_is_below_one_half(classifier: OnnxClassifier, sentence: str) -> None:
    assert classifier.classify([sentence])[0].probability < 0.5


def test_a_reading_has_the_same_bits_in_any_company_order_and_number_of_threads(classifier: OnnxClassifier) -> None:
    rng = random.Random(5)
    words = " ".join(sentence for sentence, _, _ in BLAMED).split()
    sentences = [" ".join(rng.choices(words, k=rng.randint(0, 70))) for _ in range(60)]
    together = classifier.classify(sentences)
    assert [classifier.classify([sentence])[0] for sentence in sentences] == together
    order = rng.sample(range(60), 60)
    assert classifier.classify([sentences[i] for i in order]) == [together[i] for i in order]
    two = OnnxClassifier(load_artefact(), threads=2, tokens=256)
    assert two.classify(sentences) == together
    two.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=200), max_size=4))
def test_any_text_gives_probabilities_and_spans_that_quote_it(classifier: OnnxClassifier, sentences: list[str]) -> None:
    readings = classifier.classify(sentences)
    assert len(readings) == len(sentences)
    for sentence, reading in zip(sentences, readings, strict=True):
        check(sentence, reading)


def check(sentence: str, reading: Reading) -> None:
    assert 0 <= reading.probability <= 1
    for spans in (reading.drugs, reading.effects):
        assert all(span.text == sentence[span.start : span.end] and span.text for span in spans)
        assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    assert {(p.drug, p.effect) for p in reading.pairs} == {
        (d, e) for d in range(len(reading.drugs)) for e in range(len(reading.effects))
    }
    assert all(0 <= pair.probability <= reading.probability for pair in reading.pairs)


def test_the_end_of_a_sentence_longer_than_the_model_is_read_too(classifier: OnnxClassifier) -> None:
    tail = BLAMED[0][0]
    sentence = "The weather was fine and nothing of note took place on the ward, " * 20 + tail
    reading = classifier.classify([sentence])[0]
    check(sentence, reading)
    assert "ketoconazole" in [span.text for span in reading.drugs]
    assert reading.probability > 0.5


def test_a_lone_surrogate_is_poison(classifier: OnnxClassifier) -> None:
    with pytest.raises(PoisonInput):
        classifier.classify(["fine", "\ud800"])


def test_no_sentences_no_readings(classifier: OnnxClassifier) -> None:
    assert classifier.classify([]) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_one_run_of_several_that_fails_is_poison_and_the_next_call_is_answered(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = OnnxClassifier(load_artefact(), threads=threads, tokens=128)
    sentences = [sentence for sentence, _, _ in BLAMED] * 20
    expected = classifier.classify(sentences)
    session, runs = classifier._session, itertools.count()

    class Failing:
        def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
            if next(runs) == 2:
                raise RuntimeError("out of memory")
            return session.run(names, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(classifier, "_session", Failing())
        with pytest.raises(PoisonInput, match="RuntimeError"):
            classifier.classify(sentences)
        assert classifier.classify(sentences) == expected
    classifier.close()


def test_a_closed_classifier_is_unavailable() -> None:
    closed = OnnxClassifier(load_artefact())
    closed.close()
    with pytest.raises(Unavailable):
        closed.classify(["a"])
