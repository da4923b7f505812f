"""Fine-tune a base model: recipe, material, loop, distillation. `python -m training.fit --help`.

Two stages (docs/decisions/model.md). First half of the negatives, three epochs: the heads learn spans while
positives are common. Then one epoch at a lower rate on all negatives and PsyTAR: the prior and patients' language.
Made sentences (training.augment) teach assertion in both; where there are teachers, their opinions soften the labels.
"""

from __future__ import annotations

from training.fit.log import Log
from training.fit.loop import Trainer
from training.fit.recipe import RECIPES, Recipe, RecipeError, Stage
from training.fit.run import Settings, fit

__all__ = [
    "RECIPES",
    "Log",
    "Recipe",
    "RecipeError",
    "Settings",
    "Stage",
    "Trainer",
    "fit",
]
