"""The classifier that the settings name: in this process, or on Triton servers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from inference.artefact import load_artefact
from streams.errors import ClassifierError
from streams.settings import Settings

if TYPE_CHECKING:
    from inference.artefact import Artefact
    from inference.graph import GraphClassifier
    from inference.triton import TritonClassifier

__all__ = ["open_classifier", "triton_classifier"]

log = structlog.get_logger(__name__)


def open_classifier(settings: Settings, *, patient: bool = False) -> GraphClassifier:
    """The classifier of the settings' model folder, and of their Triton servers if they name any.

    `patient`: servers that are all away are no error, for they may come back. Raises ConfigurationError; WrongModel if
    folder or servers hold no such model; else a ClassifierError if no server can be used.
    """
    artefact = load_artefact(settings.model_folder)
    if settings.triton_urls is None:
        from inference.onnx import OnnxClassifier  # onnxruntime takes a while to import

        return OnnxClassifier(artefact, settings.classifier_threads)
    classifier = triton_classifier(settings, artefact)
    try:
        classifier.check()
    except ClassifierError as error:
        if not (patient and error.retriable):
            classifier.close()
            raise
        log.warning("classifier_away", reason=error.reason, error=str(error))
    except BaseException:
        classifier.close()
        raise
    return classifier


def triton_classifier(settings: Settings, artefact: Artefact) -> TritonClassifier:
    """The classifier on the settings' Triton servers, none of which is examined yet. Raises ConfigurationError."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before its import: its lines on stderr are no JSON
    from inference.triton import Tls, TritonClassifier, address_of

    assert settings.triton_urls is not None
    tls = Tls(settings.triton_ca_location, settings.triton_certificate_location, settings.triton_key_location)
    return TritonClassifier(
        artefact,
        [address_of(url) for url in settings.triton_urls.split(",")],
        model_name=settings.triton_model,
        seconds=settings.triton_deadline_seconds,
        tls=tls,
    )
