"""`python -m training.fit`: fine-tune a base model by a recipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from training.bases import BaseModelError
from training.fit import RecipeError, fit, parser, recipe_from, settings_from


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line entry; 2 if something has to be changed first."""
    given = parser().parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        fit(given.data, given.out, recipe_from(given), settings_from(given))
    except (RecipeError, BaseModelError) as error:
        print(f"python -m training.fit: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
