"""The examples in the docstrings of the classifier's modules do what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    "inference.batching.fair",
    "inference.padding",
    "streams.metrics",
    "inference.calibration",
    "inference.decoding",
    "streams.assess.sentences",
    "streams.terms.plain",
    "training.data.sentence",
    "training.data.split",
    "training.export.calibrate",
]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_gives_what_it_shows(name: str) -> None:
    if name == "training.export.calibrate":
        pytest.importorskip("onnx", reason="no onnx: training needs the extra `train`")
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert tried > 0
