"""`vigilia train export` = `python -m training.export`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from streams.errors import ConfigurationError
from training.data import CorpusError
from training.export.nodes import Precision
from training.provenance import size_mb

__all__ = ["command"]

FOLDER = click.Path(path_type=Path, file_okay=False)
GIVEN = click.Path(path_type=Path, file_okay=False, exists=True)
PRODUCT = Path("inference/model_repository/adverse_event")


@click.command("export", short_help="Turn a run's weights into the artefact that is served.")
@click.option("--run", type=GIVEN, default="training/runs/latest", show_default=True, help="Folder that fit left.")
@click.option("--data", type=GIVEN, default="../shared/data", show_default=True, help="Folder of the corpora.")
@click.option("--shipped", type=FOLDER, default=PRODUCT, show_default=True, help="Where int8 is put for the product.")
@click.option("--no-ship", is_flag=True, help="Leave the artefacts in the run's folder only.")
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(get_args(Precision)),
    multiple=True,
    default=("fp32", "int8"),
    show_default=True,
    help="May be repeated. int8: CPUs. fp16: GPUs. fp32: what the others are measured against.",
)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="CPU threads to calibrate with.")
def command(
    run: Path, data: Path, shipped: Path, no_ship: bool, precisions: tuple[Precision, ...], threads: int
) -> None:
    """Turn a run's weights into the artefact that is served.

    Each artefact is checked against torch on 64 sentences, which fails the export if they differ by more than the
    precision may, and calibrated on the run's development fold. RUN/PRECISION is a model repository for Triton.

    \b
      vigilia train export --run training/runs/latest
      vigilia train export --run training/runs/teacher --precision fp16 --no-ship
    """
    from training.export.parity import ParityError
    from training.export.run import SHIPPED, export_run, held_out, read_parity, ship
    from training.export.weights import ExportError, read_run

    if not no_ship and SHIPPED not in precisions:
        raise ConfigurationError(f"the product takes {SHIPPED}: add --precision {SHIPPED}, or --no-ship")
    try:
        trained = read_run(run)
        made = export_run(trained, held_out(trained, data), precisions, threads)
    except (ParityError, ExportError, CorpusError) as error:
        raise ConfigurationError(str(error)) from error
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{error.filename}: no such file; `vigilia train fit` leaves it in its --out"
        ) from error
    for precision, artefact in made.items():
        parity = read_parity(run, precision)
        worst = max(d.largest for d in parity.outputs.values()) if parity else float("nan")
        click.echo(f"{artefact.model}  {artefact.folder}  {size_mb(artefact.folder):.1f} MB  torch +- {worst:.2g}")
    if not no_ship:
        click.echo(f"{ship(made[SHIPPED], shipped).model}  {shipped}")
