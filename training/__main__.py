"""`python -m training`: fit, export, evaluate, write the page of results and the card. What `make train` runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from streams.cli import main
from training.evaluate.commands import command as evaluate
from training.export.card_command import command as card
from training.export.command import command as export
from training.fit.command import fit_options, run_fit


@click.command()
@fit_options
@click.option("--no-fit", is_flag=True, help="Take the weights that are in --out already.")
@click.option(
    "--shipped",
    type=click.Path(path_type=Path, file_okay=False),
    default="inference/model_repository/adverse_event",
    show_default=True,
    help="Where the artefact goes that is served.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    default="docs/results/model.md",
    show_default=True,
    help="The page of results.",
)
@click.pass_context
def command(ctx: click.Context, /, no_fit: bool, shipped: Path, page: Path, **given: Any) -> None:
    """Fit, export, evaluate, write the page of results and the model card: what `make train` runs."""
    run: Path = given["out"] if no_fit else run_fit(**given)
    data: Path = given["data"]
    ctx.invoke(export, run=run, data=data, shipped=shipped)
    ctx.invoke(evaluate, artefact=shipped, data=data, reference=run / "fp32" / "adverse_event", run=run, page=page)
    ctx.invoke(card, run=run, artefact=shipped, results=page.with_suffix("") / "results.json")


if __name__ == "__main__":
    sys.exit(main(None, command, "python -m training"))
