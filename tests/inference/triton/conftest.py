"""Classifiers on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from inference.artefact import Artefact, load_artefact
from inference.triton import TritonClassifier, address_of

Connect = Callable[..., TritonClassifier]


@pytest.fixture(scope="session")
def artefact() -> Artefact:
    return load_artefact()


@pytest.fixture
def connect(artefact: Artefact) -> Iterator[Connect]:
    """`connect(address, ...)`: a classifier on these servers, closed at the end."""
    with ExitStack() as stack:

        def made(*addresses: str, of: Artefact = artefact, **options: Any) -> TritonClassifier:
            classifier = TritonClassifier(of, [address_of(address) for address in addresses], **options)
            return stack.enter_context(closing(classifier))

        yield made
