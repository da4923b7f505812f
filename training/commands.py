"""`vigilia train`: the group of commands that make and measure the classifier. They need the extra `train`."""

from __future__ import annotations

import importlib.util

import click

from streams.commands.lazy import Entry, LazyGroup
from streams.errors import ConfigurationError

__all__ = ["COMMANDS", "command"]

COMMANDS: dict[str, Entry] = {
    "fit": Entry("training.fit.command", "Fine-tune a base model by a recipe."),
    "average": Entry("training.average_command", "The mean of several runs' weights, as a run of its own."),
    "export": Entry("training.export.command", "Turn a run's weights into the artefact that is served."),
    "first-stage": Entry("training.first_stage_command", "Train what spares the model hopeless sentences."),
    "evaluate": Entry("training.evaluate.commands", "Measure an artefact and write its results."),
    "folds": Entry("training.evaluate.folds_command", "Fit and measure on each of the ten folds."),
    "challenge": Entry("training.challenge.command", "Score a model on sentences that turn on what is asserted."),
    "card": Entry("training.export.card_command", "Write the model card from a run and its results."),
}
NEED_TORCH = ("fit", "average", "export", "first-stage", "folds")  # the others read an artefact


class TrainGroup(LazyGroup):
    """The group; a command whose libraries are missing says what to install."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command. Raises ConfigurationError if the extra `train` is not installed."""
        wanted = ("torch", "transformers", "onnx") if cmd_name in NEED_TORCH else ()
        missing = [name for name in wanted if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigurationError(f"training needs {', '.join(missing)}: pip install 'vigilia[train]'")
        return super().get_command(ctx, cmd_name)


@click.group(
    "train",
    cls=TrainGroup,
    entries=COMMANDS,
    short_help="Train, measure and export the classifier, on your own notes too.",
)
def command() -> None:
    """Train, measure and export the classifier, on your own notes too.

    Needs `pip install 'vigilia[train]'` (torch and transformers; challenge and evaluate read an artefact with what
    vigilia itself needs). docs/training.md goes through it with a safety team's own labelled notes.

    \b
    The shipped model, from the corpora:
      vigilia train fit --out training/runs/latest
      vigilia train export --run training/runs/latest
      vigilia train evaluate
    """
