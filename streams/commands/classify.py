"""`vigilia classify`: the model alone, on stdin and stdout."""

from __future__ import annotations

import sys
from functools import partial

import click

from streams.commands.options import prepare
from streams.commands.output import progress

__all__ = ["command"]


@click.command("classify", short_help="Read sentences on stdin, write drug-event findings on stdout.")
@click.option(
    "--error-rate",
    default=0.05,
    show_default=True,
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="How often a verdict may exclude the true label, for ADEs and for other sentences each.",
)
@click.option("--explain", "explained", is_flag=True, help="Show what each word adds; some 200 times as slow.")
def command(error_rate: float, explained: bool) -> None:
    """Read sentences on stdin, write drug-event findings on stdout.

    A line of input is a JSON object with `id` and `text`, a sentence or more. A line of output has the `id`, the
    largest `probability` of its sentences to assert an adverse drug event, that sentence's `verdict` (ADE, not, or
    can't tell), the DRUG and EFFECT `spans`, and the `pairs` with their probabilities. Positions are characters of the
    text. Needs neither Kafka nor Redis; VIGILIA_MODEL_FOLDER names another model than the shipped one,
    VIGILIA_TRITON_URLS the servers that run it.

    With --explain a line has its `sentences` too, each with its `words`: their attributions sum to the sentence's
    `logit` less its `baseline`, the logit when every word is hidden.

    \b
    Examples:
      echo '{"id": 1, "text": "Severe rash after amoxicillin."}' | vigilia classify
      echo '{"id": 1, "text": "He denied any rash after amoxicillin."}' | vigilia classify --explain --error-rate 0.02
    """
    settings = prepare()
    from inference.commands import classify_lines
    from inference.explain import explain
    from streams.assess.sentences import sentence_ranges
    from streams.worker.classifier import open_classifier

    classifier = open_classifier(settings)
    try:
        why = partial(explain, classifier) if explained else None
        lines = classify_lines(sys.stdin.buffer, classifier, sentence_ranges, error_rate, why)
        for line in progress(lines, "classified", lambda: None):
            click.echo(line)
    finally:
        classifier.close()
