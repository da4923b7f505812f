"""`python -m training`: fit, export, evaluate and write the page of results, in sequence. What `make train` runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from training.evaluate.command import main as evaluate
from training.export import export
from training.fit import fit, parser, recipe_from, settings_from


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line entry: the options of `training.fit`, and where the artefact and the page of results go."""
    options = parser()
    options.prog = "python -m training"
    options.description = __doc__
    options.add_argument("--shipped", type=Path, default=Path("inference/model_repository/adverse_event"))
    options.add_argument("--card", type=Path, default=Path("docs/results/model.md"))
    options.add_argument("--no-fit", action="store_true", help="take the weights that are in --out already")
    given = options.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    if not given.no_fit:
        fit(given.data, given.out, recipe_from(given), settings_from(given))
    reference, shipped = export(given.out, given.data, given.shipped)
    folders = ["--artefact", str(shipped.folder), "--reference", str(reference.folder), "--data", str(given.data)]
    evaluate([*folders, "--out", str(given.out / "results.json")])
    print(f"{shipped.model}: {given.shipped}, results in {given.card}")


if __name__ == "__main__":
    main()
