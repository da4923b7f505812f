"""`vigilia train evaluate` = `python -m training.evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from streams.errors import ConfigurationError
from training.data import CorpusError
from training.provenance import command_line, stamp

__all__ = ["command", "evaluate"]

PARTS = ("development", "calibration", "psytar", "phee", "notes", "robustness", "subgroups", "baselines")
PAGE = Path("docs/results/model.md")


def evaluate(
    artefact: Path,
    data: Path,
    out: Path,
    *,
    reference: Path | None = None,
    run: Path | None = None,
    page: Path | None = None,
    folds: Path | None = None,
    own: Sequence[Path] = (),
    parts: Sequence[str] = PARTS,
    threads: int = 2,
    share: float = 1.0,
) -> dict[str, Any]:
    """Measure `parts` of an artefact, keep them in `out` beside those already measured of it, and write the page.

    Returns what `out` holds. `page` has plots beside it in a folder of its name.
    """
    from inference.artefact import load_artefact
    from training.evaluate.measure import (
        COMPARED,
        Bench,
        described,
        measure,
        read_results,
        run_described,
        write_results,
    )

    said = command_line()
    loaded = load_artefact(artefact)
    measured = read_results(out, loaded.model, share)
    measured["artefact"] = {"figures": described(loaded)} | stamp(said)
    bench = Bench(loaded, data, threads, share)
    measured |= measure(bench, parts, said)
    if own:
        from training.evaluate.own import own_figures

        try:
            measured["own"] = {"figures": own_figures(bench, own)} | stamp(said)
        except CorpusError as error:
            raise ConfigurationError(str(error)) from error
    if reference is not None:
        measured["reference"] = measure(Bench(load_artefact(reference), data, threads, share), COMPARED, said)
    if run is not None:
        measured["run"] = {"figures": run_described(run)} | stamp(said)
    if folds is not None:
        from training.evaluate.folds import read_folds

        measured["folds"] = {"figures": read_folds(folds)} | stamp(said)
    results = write_results(out, loaded.model, measured)
    if page is not None:
        from training.evaluate.plots import draw
        from training.evaluate.report import write_page

        draw(results, page.with_suffix(""))
        write_page(page, results)
    return results


def _listed(value: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise click.UsageError(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return parts


def _shown(figures: Any) -> None:
    for name, value in figures.items() if isinstance(figures, dict) else ():
        if isinstance(value, list) and len(value) == 3 and all(isinstance(x, float) for x in value):
            click.echo(f"{name:52} {value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]")


FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("evaluate", short_help="Measure an artefact and write its results.")
@click.option("--artefact", type=FOLDER, help="Folder of the artefact; default: the shipped one.")
@click.option("--data", type=FOLDER, default="../shared/data", show_default=True, help="Folder of the corpora.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON of all figures; default: results.json beside the page's plots, else in training/runs.",
)
@click.option("--parts", default=",".join(PARTS), show_default=True, help="Which parts to measure.")
@click.option("--reference", type=FOLDER, help="Artefact of the same weights in float32: what int8 costs.")
@click.option("--run", type=FOLDER, help="Folder of the run that made the weights: recipe, time, counts of the data.")
@click.option("--folds", type=FOLDER, help="Folder that `vigilia train folds` wrote.")
@click.option(
    "--own",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Your labelled sentences: measure on the documents of them that the run held out.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    is_flag=False,
    flag_value=str(PAGE),
    help="Write the page of results, with its plots beside it (docs/results/model.md if no file is named).",
)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="CPU threads of the model.")
@click.option("--share", type=click.FloatRange(0.01, 1), default=1.0, help="Share of the documents, to try things out.")
def command(artefact: Path | None, out: Path | None, page: Path | None, parts: str, share: float, **given: Any) -> None:
    """Measure an artefact and write its results.

    Parts measured before, of the same artefact, are kept in --out, each with its command, date, commit and machine:
    --parts measures some of them anew. All of them take about five minutes on two cores.

    \b
    Examples:
      vigilia train evaluate --page
      vigilia train evaluate --artefact training/runs/latest/fp32/adverse_event --parts development
      vigilia train evaluate --artefact models/adverse_event --own notes.jsonl --parts ''
    """
    from inference.artefact import shipped_folder

    if share < 1 and page is not None:
        raise click.UsageError("a share of the documents is for trying out: it writes no page")
    if out is None:
        out = (page.with_suffix("") if page else Path("training/runs")) / "results.json"
    chosen = _listed(parts)
    results = evaluate(artefact or shipped_folder(), out=out, page=page, parts=chosen, share=share, **given)
    click.echo(results["model"])
    for part in (*chosen, *(("own",) if given["own"] else ())):
        click.echo(part)
        _shown(results["parts"][part]["figures"])
    click.echo(f"all figures: {out}" + (f", page: {page}" if page else ""))
