"""`vigilia train average`."""

from __future__ import annotations

from pathlib import Path

import click

from training.fit.command import told

__all__ = ["command"]

GIVEN = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command("average", short_help="The mean of several runs' weights, as a run of its own.")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, type=GIVEN)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the mean.")
def command(runs: tuple[Path, ...], out: Path) -> None:
    """The mean of several runs' weights, as a run of its own.

    For runs of one base and one development fold, fitted with other seeds, data or recipes. What comes out is exported
    and measured as any run is.

    \b
    Example:
      vigilia train average training/runs/a training/runs/b --out training/runs/mean
    """
    from training.average import average

    with told():
        click.echo(str(average(runs, out)))
