"""`vigilia train folds`."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command(
    "folds",
    short_help="Fit and measure on each of the ten folds.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.option("--folds", default="0-9", show_default=True, help="Which folds, such as 0-4,7.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="training/runs/folds", show_default=True
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="../shared/data",
    show_default=True,
    help="Folder of the corpora.",
)
@click.option("--export", "precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="CPU threads of the measuring.")
@click.argument("fit_options", nargs=-1, type=click.UNPROCESSED)
def command(folds: str, out: Path, data: Path, precision: str, threads: int, fit_options: tuple[str, ...]) -> None:
    """Fit and measure on each of the ten folds.

    What follows `--` goes to `vigilia train fit`, with {fold} replaced by the fold's number. Finished folds are
    skipped, so the command can be run in several sittings. It costs ten times a fit and some minutes more: three to
    five hours on two cores for the shipped recipe; after each fold it says what is left.

    \b
    Examples:
      vigilia train folds -- --recipe student
      vigilia train folds --folds 0-4 -- --recipe student --teacher training/runs/teacher-{fold}
      vigilia train evaluate --parts '' --folds training/runs/folds --page
    """
    from training.evaluate.folds import chosen_folds, exported, fit_by_command, options_of, read_folds, run_folds

    chosen = chosen_folds(folds)
    for fold in chosen:
        options_of(fit_options, fold)  # what is wrong with the last fold's options is said before the first is fitted
    fit = fit_by_command(["--data", str(data), *fit_options])
    run_folds(chosen, out, data, fit, exported(precision, threads), threads=threads)
    for name, (value, low, high) in read_folds(out)["pooled"].items():
        click.echo(f"{name:40} {value:.3f} [{low:.3f}, {high:.3f}]")
