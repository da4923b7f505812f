"""What a model server does to its clients: each in turn, on a real one."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from inference.artefact import Artefact
from inference.classifier import Reading
from inference.onnx import OnnxClassifier
from inference.triton import Tls, TritonClassifier
from inference.triton.connection import Question
from streams.errors import ClassifierError, DeadlineExceeded, NotServed, Overloaded, Unavailable
from tests.inference.triton.conftest import Connect
from tests.triton_models import serve_as

SENTENCES = ["Acute hepatitis developed two weeks after she started ketoconazole.", "No fever."]
RECOVERY_SECONDS = 5.0


@pytest.fixture(scope="module")
def expected(artefact: Artefact) -> list[Reading]:
    classifier = OnnxClassifier(artefact)
    readings = classifier.classify(SENTENCES)
    classifier.close()
    return readings


def failure(classifier: TritonClassifier) -> ClassifierError:
    with pytest.raises(ClassifierError) as caught:
        classifier.classify(SENTENCES)
    return caught.value


def until_read(classifier: TritonClassifier, seconds: float = RECOVERY_SECONDS) -> list[Reading]:
    """The readings as soon as there are any; only errors that pass may come before."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return classifier.classify(SENTENCES)
        except ClassifierError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def at_once(work: Callable[[], object]) -> None:
    started = time.monotonic()
    work()
    assert time.monotonic() - started < 0.5


def state(classifier: TritonClassifier) -> object:
    (server,) = classifier.servers().values()
    return server["state"]


def test_a_server_that_is_down_is_told_at_once_and_used_again_when_it_is_back(
    triton_server: Any, connect: Connect, expected: list[Reading]
) -> None:
    remote = connect(triton_server.grpc)
    assert remote.classify(SENTENCES) == expected
    triton_server.kill()
    for _ in range(2):
        assert type(failure(remote)) is Unavailable
    at_once(lambda: failure(remote))
    triton_server.start()
    assert until_read(remote) == expected


def test_a_server_that_is_not_there_yet_is_waited_for(
    triton_server: Any, connect: Connect, expected: list[Reading]
) -> None:
    triton_server.kill()
    remote = connect(triton_server.grpc)
    with pytest.raises(Unavailable):
        remote.check()
    triton_server.start()
    assert until_read(remote) == expected


def test_a_dead_backend_is_no_poison_though_the_server_says_it_is_ready(
    triton_server: Any, connect: Connect, expected: list[Reading]
) -> None:
    remote = connect(triton_server.grpc)
    assert remote.classify(SENTENCES) == expected
    triton_server.kill_backend()
    assert type(failure(remote)) is Unavailable
    assert triton_server.is_ready()
    assert state(remote) != "closed"
    at_once(lambda: failure(remote))
    triton_server.restart()
    assert until_read(remote) == expected


def test_a_frozen_server_costs_a_deadline_and_then_nothing_until_it_goes_on(
    triton_server: Any, connect: Connect, expected: list[Reading]
) -> None:
    remote = connect(triton_server.grpc, seconds=2.0)
    remote.check()
    triton_server.pause()
    try:
        assert isinstance(failure(remote), DeadlineExceeded)
        failure(remote)
        assert state(remote) != "closed"
        at_once(lambda: failure(remote))
    finally:
        triton_server.resume()
    assert until_read(remote) == expected


def test_a_server_slower_than_the_deadline_is_a_deadline_and_is_asked_again(
    triton_server: Any, connect: Connect, expected: list[Reading]
) -> None:
    remote = connect(triton_server.grpc)
    remote.check()
    remote._seconds = 0.001
    assert type(failure(remote)) is DeadlineExceeded
    assert state(remote) != "closed", "two requests, one for each length"
    remote._seconds = 10.0
    assert until_read(remote) == expected


def test_a_model_that_is_unloaded_and_loaded_again_under_way_costs_nothing_but_time(
    triton_server: Any, connect: Connect, expected: list[Reading]
) -> None:
    remote = connect(triton_server.grpc)
    remote.check()
    found: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                found.append(remote.classify(SENTENCES))
            except ClassifierError as error:
                found.append(type(error))
                time.sleep(0.02)

    readers = [threading.Thread(target=read) for _ in range(3)]
    control = tritonclient.grpc.InferenceServerClient(triton_server.grpc)
    try:
        for reader in readers:
            reader.start()
        control.unload_model("adverse_event")
        while NotServed not in found:
            time.sleep(0.05)
        control.load_model("adverse_event")
        assert until_read(remote) == expected
    finally:
        stop.set()
        for reader in readers:
            reader.join()
        control.close()
    kinds = Counter(one if isinstance(one, type) else "read" for one in found)
    assert kinds.keys() <= {"read", NotServed, Unavailable}
    assert all(one == expected for one in found if isinstance(one, list))


# ------------------------------------------------------------------ a server of our own


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a CA, and of keys and certificates that it signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a test")
    for name in ("server", "client"):
        by_ca = ["-CA", "ca.pem", "-CAkey", "ca.key"]
        openssl("req", "-x509", *key, *by_ca, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    return folder


@pytest.fixture(scope="module")
def narrow(triton_tool: ModuleType, tmp_path_factory: pytest.TempPathFactory, secured: Path) -> Iterator[Any]:
    """A server that wants TLS from both sides; its model `narrow` has room for one request beside those it works on."""
    repository = tmp_path_factory.mktemp("narrow")
    serve_as(repository, "adverse_event")
    queue = "dynamic_batching { default_queue_policy { max_queue_size: 1 } }\n"  # which the CPU configuration has not
    serve_as(repository, "narrow", lambda text: text + queue)
    files = {"server-cert": "server.pem", "server-key": "server.key", "root-cert": "ca.pem"}
    options = [f"--grpc-{name}={secured / file}" for name, file in files.items()]
    with triton_tool.Server(models=repository, options=["--grpc-use-ssl-mutual=1", *options]) as server:
        yield server


@pytest.fixture
def tls(secured: Path) -> Tls:
    return Tls(secured / "ca.pem", secured / "client.pem", secured / "client.key")


def test_both_sides_show_their_certificates(narrow: Any, tls: Tls, connect: Connect, expected: list[Reading]) -> None:
    assert connect(f"grpcs://{narrow.grpc}", tls=tls).classify(SENTENCES) == expected
    for wrong in (tls._replace(ca=None), tls._replace(certificate=None, key=None)):
        remote = connect(f"grpcs://{narrow.grpc}", tls=wrong, seconds=2.0)
        with pytest.raises(Unavailable):
            remote.check()


def test_a_full_queue_is_overload_opens_no_breaker_and_harms_no_reading(
    narrow: Any, tls: Tls, connect: Connect, expected: list[Reading]
) -> None:
    remote = connect(f"grpcs://{narrow.grpc}", tls=tls, model_name="narrow")
    remote.check()
    found: list[object] = []

    def read() -> None:
        for _ in range(4):
            try:
                found.append(remote.classify(SENTENCES))
            except ClassifierError as error:
                found.append(type(error))

    readers = [threading.Thread(target=read) for _ in range(12)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert Overloaded in found
    assert {one for one in found if isinstance(one, type)} == {Overloaded}
    assert all(one == expected for one in found if isinstance(one, list))
    assert state(remote) == "closed"
    assert until_read(remote) == expected


def test_of_two_servers_one_may_go_and_no_caller_notices(
    narrow: Any, triton_server: Any, tls: Tls, connect: Connect, expected: list[Reading]
) -> None:
    remote = connect(triton_server.grpc, f"grpcs://{narrow.grpc}", tls=tls)
    remote.examined()
    for _ in range(4):
        assert remote.classify(SENTENCES) == expected
    first, second = remote.servers().values()
    assert first["calls"] == second["calls"] == {"answered": 4}
    triton_server.kill()
    for _ in range(6):
        assert remote.classify(SENTENCES) == expected
    assert remote.servers()[f"grpc://{triton_server.grpc}"]["state"] != "closed"
    remote.check()


def test_a_request_of_a_wrong_shape_is_refused_by_the_server(
    triton_server: Any, connect: Connect, artefact: Artefact
) -> None:
    """What it says of it is no INTERNAL: it would make nobody look for poison."""
    remote = connect(triton_server.grpc)
    question = Question(remote.batch(remote.windows(SENTENCES[:1])))
    control = tritonclient.grpc.InferenceServerClient(triton_server.grpc)
    wrong = tritonclient.grpc.InferInput("input_ids", [1], "INT64")
    wrong.set_data_from_numpy(question.batch.ids[0, :1])
    try:
        with pytest.raises(InferenceServerException) as caught:
            control.infer("adverse_event", [wrong, question.inputs[1]])
    finally:
        control.close()
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
