"""A real tritonserver gives what the graph gives in this process; a server with another model is refused."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from inference.artefact import MODEL, Artefact
from inference.classifier import Classifier, Remote
from inference.graph import GraphClassifier
from inference.onnx import OnnxClassifier
from streams.errors import ConfigurationError, NotServed, PoisonInput, Unavailable, WrongModel
from tests.inference.triton.conftest import Connect
from tests.triton_models import POISON, poisoned, serve_as, with_other_weights

SENTENCES = [
    "Acute hepatitis developed two weeks after she started ketoconazole.",
    "Neutropenia was caused by clozapine and resolved when it was stopped.",
    "Blood pressure was 120/80 and the lungs were clear.",
    "No fever.",
    "",
    "Ünïcödé, 東京 and emoji 🙂 are words too.",
    "The weather was fine and nothing of note took place on the ward, " * 20 + "until lithium caused a tremor.",
]
CLOSE = 1e-4


@pytest.fixture(scope="module")
def in_process(artefact: Artefact) -> Iterator[OnnxClassifier]:
    classifier = OnnxClassifier(artefact)
    yield classifier
    classifier.close()


@pytest.fixture(params=["in process", "Triton"])
def classifier(request: pytest.FixtureRequest, in_process: OnnxClassifier, connect: Connect) -> GraphClassifier:
    """Each of the classifiers that are shipped: the laws below hold for both."""
    if request.param == "in process":
        return in_process
    return connect(request.getfixturevalue("triton_server").grpc)


def mixed(number: int) -> list[str]:
    chance = random.Random(11)
    words = " ".join(SENTENCES[:4]).split()
    return [" ".join(chance.choices(words, k=chance.randint(0, 60))) for _ in range(number)]


def test_both_give_the_same_outputs(in_process: OnnxClassifier, triton_server: Any, connect: Connect) -> None:
    sentences = [*SENTENCES, *mixed(90)]
    remote = connect(triton_server.grpc)
    windows = remote.windows(sentences)
    for got, want in zip(remote.scores(windows), in_process.scores(windows), strict=True):
        for name, one, other in zip(got._fields, got, want, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=CLOSE, err_msg=name)
    for found, expected in zip(remote.classify(sentences), in_process.classify(sentences), strict=True):
        assert found.probability == pytest.approx(expected.probability, abs=CLOSE)
        assert (found.drugs, found.effects) == (expected.drugs, expected.effects)
        assert [p.probability for p in found.pairs] == pytest.approx([p.probability for p in expected.pairs], abs=CLOSE)


def test_it_is_a_classifier(classifier: GraphClassifier, artefact: Artefact) -> None:
    assert isinstance(classifier, Classifier)
    assert isinstance(classifier, Remote) == (not isinstance(classifier, OnnxClassifier))
    assert classifier.model == artefact.model


def test_a_reading_depends_on_its_sentence_alone(classifier: GraphClassifier) -> None:
    sentences = [*SENTENCES, *mixed(20)]
    together = classifier.classify(sentences)
    assert classifier.classify(sentences[::-1])[::-1] == together
    assert [classifier.classify([sentence])[0] for sentence in sentences[:7]] == together[:7]


def test_no_sentences_no_readings(classifier: GraphClassifier) -> None:
    assert classifier.classify([]) == []


def test_a_lone_surrogate_is_poison(classifier: GraphClassifier) -> None:
    with pytest.raises(PoisonInput):
        classifier.classify(["fine", "\ud800"])


def test_closed_it_is_unavailable(artefact: Artefact, triton_server: Any, connect: Connect) -> None:
    for closed in (OnnxClassifier(artefact), connect(triton_server.grpc)):
        closed.close()
        closed.close()
        with pytest.raises(Unavailable):
            closed.classify(["a"])


# ------------------------------------------------------------------ models that are not ours

HASH = re.compile(r'(key: "vigilia\.1" value: \{ string_value: )"\w*"')


def with_another_version(text: str) -> str:
    """A configuration that serves a version 2 of another artefact beside ours."""
    text = text.replace("versions: [ 1 ]", "versions: [ 1, 2 ]")
    return text + 'parameters { key: "vigilia.2" value: { string_value: "' + "1" * 64 + '" } }\n'


@pytest.fixture(scope="module")
def poison(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return poisoned(tmp_path_factory.mktemp("poisoned") / "adverse_event")


@pytest.fixture(scope="module")
def variants(triton_tool: ModuleType, tmp_path_factory: pytest.TempPathFactory, poison: Artefact) -> Iterator[str]:
    """Address of a server with one model for each way of being wrong, and a poisoned one."""
    repository = tmp_path_factory.mktemp("models")
    serve_as(repository, "other_hash", lambda text: HASH.sub(r'\1"' + "0" * 64 + '"', text))
    serve_as(repository, "no_hash", lambda text: text.replace("vigilia.1", "another"))
    serve_as(
        repository,
        "small_batches",
        lambda text: text.replace("max_batch_size: 64", "max_batch_size: 8").replace("[ 16, 32, 64 ]", "[ 8 ]"),
    )
    serve_as(repository, "no_pairs", lambda text: re.sub(r',\s*\{ name: "pair"[^}]*\}', "", text))
    with_other_weights(serve_as(repository, "other_weights"))
    serve_as(repository, "poisoned", artefact=poison.folder)
    later = serve_as(repository, "with_a_later_version", with_another_version)
    (later / "2").mkdir()
    shutil.copy2(repository / "other_weights" / MODEL, later / "2" / "model.onnx")
    with triton_tool.Server(models=repository) as server:
        yield server.grpc


@pytest.mark.parametrize(
    ("model", "error", "why"),
    [
        ("other_hash", WrongModel, "no version is .*: 1 is 000000000000"),
        ("no_hash", WrongModel, "1 is unknown"),
        ("small_batches", WrongModel, "max_batch_size .* is 8"),
        ("no_pairs", WrongModel, "other tensors .*: pair"),
        ("other_weights", Unavailable, "a known sentence is wrong"),
        ("absent", NotServed, "unknown model"),
    ],
)
def test_another_model_is_refused_before_the_first_reading(
    variants: str, connect: Connect, model: str, error: type[Exception], why: str
) -> None:
    remote = connect(variants, model_name=model)
    with pytest.raises(error, match=why):
        remote.classify(["Severe rash after amoxicillin."])
    with pytest.raises(error, match=why):
        remote.check()


def test_of_several_versions_the_one_with_our_hash_is_asked_though_there_is_a_later_one(
    variants: str, connect: Connect, in_process: OnnxClassifier
) -> None:
    remote = connect(variants, model_name="with_a_later_version")
    assert remote.classify(SENTENCES[:2]) == in_process.classify(SENTENCES[:2])
    assert [server["version"] for server in remote.servers().values()] == ["1"]


def test_something_that_is_no_triton_is_unavailable(kafka: str, connect: Connect) -> None:
    remote = connect(kafka, seconds=1.0)
    with pytest.raises(Unavailable):
        remote.classify(["a"])


@pytest.mark.parametrize("url", ["triton", "triton:", ":8001", "http://triton:8000", "triton:99999", "a:b"])
def test_an_address_that_is_none_is_told_at_once(url: str, connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="gRPC address"):
        connect(url)


# ------------------------------------------------------------------ poison


def test_a_poisoned_sentence_fails_alone_and_the_server_stays_in_use(
    variants: str, poison: Artefact, connect: Connect
) -> None:
    remote = connect(variants, of=poison, model_name="poisoned")
    with pytest.raises(PoisonInput):
        remote.classify([f"After {POISON} he felt well."])
    with pytest.raises(PoisonInput):
        remote.classify(["Fine.", f"After {POISON} he felt well."])
    (server,) = remote.servers().values()
    assert server["state"] == "closed"
    assert len(remote.classify(["Severe rash after amoxicillin."])) == 1


def test_a_sentence_that_failed_in_bad_company_is_read(
    variants: str, poison: Artefact, in_process: OnnxClassifier, connect: Connect
) -> None:
    """Triton joins requests of all clients: whoever shares a batch with poison may fail with it, once."""
    remote = connect(variants, of=poison, model_name="poisoned")
    remote.check()
    (endpoint,) = remote._endpoints
    ask, failed = endpoint.infer, []

    async def first_fails(question: Any, seconds: float) -> Any:
        if not failed:
            failed.append(question)
            raise PoisonInput("another client's sentence was in the batch")
        return await ask(question, seconds)

    endpoint.infer = first_fails
    assert remote.classify([SENTENCES[0]]) == in_process.classify([SENTENCES[0]])
    assert failed
