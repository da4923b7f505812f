"""The command `vigilia`: which commands there are, and what an error becomes.

Commands are imported when they are called, so `vigilia --help` loads neither Faust nor onnxruntime. Each module of
`streams.commands` named here has `command: click.Command`.

Exit status: 0 done · 1 failed, or found what it looks for (`audit`, `doctor`) · 2 the operator must change something
(`ConfigurationError`, wrong usage) · 70 a mistake in vigilia · 130 interrupted. A reader that goes away (`| head`) is
no error worth a word.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from streams.commands.hints import hint
from streams.commands.lazy import Entry, LazyGroup
from streams.errors import VigiliaError

__all__ = ["COMMANDS", "cli", "main"]

INTERNAL_ERROR = 70
INTERRUPTED = 130

COMMANDS: dict[str, Entry] = {
    "demo": Entry("streams.commands.demo", "Watch a generated year of reports go through."),
    "run": Entry("streams.commands.run", "Read the source topics and raise alerts, until stopped."),
    "load": Entry("streams.commands.load", "Send files of reports to a source topic."),
    "replay": Entry("streams.commands.replay", "Run a monitor over past reports in a namespace of its own."),
    "alerts": Entry("streams.commands.alerts", "Show the alerts, or follow them as they come."),
    "explain": Entry("streams.commands.explain", "Show what an alert rests on."),
    "review": Entry("streams.commands.review", "Validate, refute, close, comment on and assign alerts."),
    "history": Entry("streams.commands.history", "Prove that alerts and reviews were not changed afterwards."),
    "rates": Entry("streams.commands.rates", "Show how often a drug or a drug-event pair is reported."),
    "classify": Entry("streams.commands.classify", "Read sentences on stdin, write drug-event findings on stdout."),
    "parse": Entry("streams.commands.parse", "Write files of reports as canonical JSON on stdout."),
    "dead-letters": Entry("streams.commands.dead_letters", "List messages that could not be used, or send them again."),
    "uncertain": Entry("streams.commands.uncertain", "List sentences that the classifier leaves open, for review."),
    "terms": Entry("streams.commands.terms", "Show which names no vocabulary knows."),
    "duplicates": Entry("streams.commands.duplicates", "Show which reports were taken for one case and why."),
    "doctor": Entry("streams.commands.doctor", "Check what vigilia needs, and say what to do about it."),
    "budget-check": Entry("streams.commands.budget_check", "Count false alarms on permutations of a log."),
    "audit": Entry("streams.commands.audit", "Recount the log and compare it with Redis, cell by cell."),
    "monitor": Entry("streams.commands.monitor", "Make a new monitor from a running one."),
    "promote": Entry("streams.commands.promote", "Let another monitor report an alert stream from now on."),
    "diff": Entry("streams.commands.diff", "Show how two monitors, replays or assessments logs differ."),
    "model": Entry("streams.commands.model", "Put versions of the classifier on Triton servers."),
    "train": Entry("training.commands", "Train, measure and export the classifier, on your own notes too."),
}


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("vigilia")
    except PackageNotFoundError:
        number = "unknown (run from a source tree that is not installed)"
    click.echo(f"vigilia {number}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def cli() -> None:
    """Watch Kafka streams of adverse-event reports and clinical notes, and raise drug-safety signals.

    \b
    See it work:      vigilia demo
    Check the place:  vigilia doctor --monitor vaers
    Run all day:      vigilia run --monitor vaers
    Read the alerts:  vigilia alerts --follow

    Services and credentials come from the environment: VIGILIA_BOOTSTRAP_SERVERS, VIGILIA_REDIS_URL and the others
    that `vigilia doctor --help` lists.
    """


def main(args: Sequence[str] | None = None, command: click.Command | None = None, name: str = "vigilia") -> int:
    """Run one command line (default: `sys.argv`, of `vigilia`) and return the exit status."""
    try:
        result = (command or cli).main(args, prog_name=name, standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except VigiliaError as error:
        _tell(error)
        return error.exit_status
    except Exception as error:  # noqa: BLE001 - the last line of defence: tells where, never what the data was
        _tell_internal(error)
        return INTERNAL_ERROR
    return result if isinstance(result, int) else 0


def _tell(error: VigiliaError) -> None:
    click.echo(f"vigilia: {error.reason}: {' '.join(str(error).split())}", err=True)
    advice = hint(error)
    if advice:
        click.echo(f"  what to do: {advice}", err=True)


def _tell_internal(error: Exception) -> None:
    """Say where it went wrong. The message of a foreign exception may quote a patient's report, so it stays out."""
    click.echo(f"vigilia: a mistake in vigilia: {type(error).__name__}, raised at:", err=True)
    for frame in traceback.extract_tb(error.__traceback__)[-8:]:
        click.echo(f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}", err=True)
    click.echo("  what to do: please report these lines; the message is left out, it may quote a report", err=True)


def run() -> Any:
    """Entry point of the script `vigilia`."""
    sys.exit(main())


if __name__ == "__main__":
    run()
