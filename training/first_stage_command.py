"""`vigilia train first-stage`."""

from __future__ import annotations

from pathlib import Path

import click

from streams.errors import ConfigurationError

__all__ = ["command"]

GIVEN = click.Path(path_type=Path, file_okay=False, exists=True)
PRODUCT = Path("inference/model_repository/adverse_event")


@click.command("first-stage", short_help="Train what spares the model hopeless sentences.")
@click.option("--data", type=GIVEN, default="../shared/data", show_default=True, help="Folder of the corpora.")
@click.option("--artefact", type=GIVEN, default=PRODUCT, show_default=True, help="Where it is put.")
@click.option("--teacher", type=GIVEN, help="Artefact that labels unlabelled sentences. [default: --artefact's]")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="CPU threads of the teacher.")
def command(data: Path, artefact: Path, teacher: Path | None, threads: int) -> None:
    """Train what spares the model hopeless sentences, and put it into an artefact.

    About a minute on two cores. The artefact's name changes with it. `python -m bench.firststage` measures what it
    spares and what it loses.
    """
    from inference.artefact import load_artefact
    from inference.first_stage import FILE
    from training.data import CorpusError
    from training.export.artefacts import with_first_stage
    from training.first_stage import examples, fit_first_stage

    judge = load_artefact(teacher or artefact)
    fold = int(judge.manifest.trained["development_fold"])
    try:
        given = examples(data, judge, fold, threads=threads)
    except (CorpusError, FileNotFoundError) as error:
        raise ConfigurationError(str(error)) from error
    described = {"teacher": judge.model, "development_fold": str(fold), "sentences": str(len(given))}
    fitted = fit_first_stage(given, described, say=_say)
    for corpus, (through, positives) in fitted.through.items():
        _say(f"{corpus}: {through} of {positives} positive sentences get through, each judged unseen")
    made = with_first_stage(load_artefact(artefact), FILE, fitted.stage.encoded())
    click.echo(f"{made.model}  {artefact}")


def _say(line: str) -> None:
    click.echo(line, err=True)
