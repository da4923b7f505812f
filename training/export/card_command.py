"""`vigilia train card`: the model card of an artefact, from its run and its results."""

from __future__ import annotations

import json
from pathlib import Path

import click

from streams.errors import ConfigurationError

__all__ = ["command"]

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("card", short_help="Write the model card from a run and its results.")
@click.option("--run", type=FOLDER, default="training/runs/latest", show_default=True, help="Folder that fit left.")
@click.option("--artefact", type=FOLDER, default="inference/model_repository/adverse_event", show_default=True)
@click.option("--results", type=FILE, default="docs/results/model/results.json", show_default=True)
@click.option("--page", type=FILE, default="docs/model-card.md", show_default=True, help="The card for people.")
def command(run: Path, artefact: Path, results: Path, page: Path) -> None:
    """Write the model card from a run and its results (the JSON that evaluate left).

    The artefact gets card.json, for programs; PAGE says the same for people. Results of another artefact are refused.

    \b
      vigilia train card --run training/runs/latest
    """
    from inference.artefact import load_artefact
    from training.export.card import make_card, write_card
    from training.export.weights import ExportError
    from training.provenance import command_line

    try:
        measured = json.loads(results.read_text(encoding="utf-8"))
        loaded = load_artefact(artefact)
        card = make_card(loaded, run, measured, command_line(program="vigilia"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{error.filename}: no such file; `vigilia train evaluate` writes results") from error
    except ExportError as error:
        raise ConfigurationError(str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{results}: not what `vigilia train evaluate` writes ({error})") from error
    write_card(card, loaded, page)
    click.echo(f"{loaded.model}: {page}, {loaded.folder / 'card.json'}")
