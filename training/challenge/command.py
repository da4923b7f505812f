"""`vigilia train challenge`: score an artefact on the assertion challenge set."""

from __future__ import annotations

from pathlib import Path

import click

from streams.commands.options import json_option, prepare
from streams.commands.output import print_table, write_json
from training.challenge.score import Result, Share

__all__ = ["command"]


@click.command("challenge", short_help="Score a model on sentences that turn on what is asserted.")
@click.option(
    "--artefact",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the artefact; default: VIGILIA_MODEL_FOLDER, else the shipped one.",
)
@click.option("--wrong", is_flag=True, help="List the sentences that the model gets wrong, and how.")
@json_option
def command(artefact: Path | None, wrong: bool, as_json: bool) -> None:
    """Score a model on sentences that turn on what is asserted.

    The sentences are vigilia's own: denials, histories, relatives, advice, indications, wanted effects, suspicion, two
    drugs of which one is blamed, and plain ones. None is ever trained on; training/challenge/README.md gives the rule
    by which they are labelled. Thresholds are the artefact's own.
    """
    settings = prepare()
    from inference.artefact import load_artefact
    from inference.onnx import OnnxClassifier
    from training.challenge import score

    loaded = load_artefact(artefact or settings.model_folder)
    threshold, pair_threshold = loaded.manifest.threshold, loaded.manifest.pair_threshold
    classifier = OnnxClassifier(loaded, settings.classifier_threads)
    try:
        result = score.score(score.read(classifier), threshold, pair_threshold)
    finally:
        classifier.close()
    if as_json:
        figures = score.as_json(result)
        write_json({"model": loaded.model, "threshold": threshold, "pair_threshold": pair_threshold, **figures})
        return
    columns = ["kind", ">right", ">of", ">share", "95% interval", ">label alone"]
    print_table(columns, _rows(result), title=loaded.model)
    if wrong:
        click.echo()
        print_table(["id", ">probability", "what is wrong", "sentence"], _wrong_rows(result))


def _rows(result: Result) -> list[tuple[object, ...]]:
    groups = {**result.kinds, **result.origins, **result.labels, "all": result.overall}
    return [(name, *_cells(share), _percent(result.label_alone.get(name))) for name, share in groups.items()]


def _cells(share: Share) -> tuple[object, ...]:
    return share.right, share.total, _percent(share), f"{share.low:.1%} - {share.high:.1%}"


def _percent(share: Share | None) -> str:
    return f"{share.value:.1%}" if share else ""


def _wrong_rows(result: Result) -> list[tuple[object, ...]]:
    return [
        (outcome.item.id, f"{outcome.probability:.3f}", "; ".join(outcome.faults), outcome.item.text)
        for outcome in result.wrong
    ]
