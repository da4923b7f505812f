"""`vigilia classify`: the model alone, on stdin and stdout."""

from __future__ import annotations

import sys

import click

from streams.commands.options import prepare
from streams.commands.output import progress

__all__ = ["command"]


@click.command("classify", short_help="Read sentences on stdin, write drug-event findings on stdout.")
def command() -> None:
    """Read sentences on stdin, write drug-event findings on stdout.

    A line of input is a JSON object with `id` and `text`, a sentence or more. A line of output has the `id`, the
    largest `probability` of its sentences to assert an adverse drug event, the DRUG and EFFECT `spans`, and the `pairs`
    with theirs. Positions are characters of the text. Needs neither Kafka nor Redis; VIGILIA_MODEL_FOLDER names another
    model than the shipped one.

    \b
    Example:
      echo '{"id": 1, "text": "Severe rash after amoxicillin."}' | vigilia classify
    """
    settings = prepare()
    from inference.artefact import load_artefact
    from inference.commands import classify_lines
    from inference.onnx import OnnxClassifier
    from streams.assess.sentences import sentence_ranges

    classifier = OnnxClassifier(load_artefact(settings.model_folder), settings.classifier_threads)
    try:
        for line in progress(classify_lines(sys.stdin.buffer, classifier, sentence_ranges), "classified", lambda: None):
            click.echo(line)
    finally:
        classifier.close()
