"""`vigilia monitor`: making one monitor from another."""

from __future__ import annotations

import click

from streams.commands.buckets import bucket_number
from streams.commands.options import json_option, prepare
from streams.commands.output import write_json
from streams.monitors import load_monitor

__all__ = ["command"]


@click.group("monitor", short_help="Make a new monitor from a running one.")
def command() -> None:
    """Make a new monitor from a running one.

    \b
    Example:
      vigilia monitor fork our-hospital trial.toml --at 2026-11-01
    """


@command.command("fork", short_help="Take a monitor's assessments up to a bucket, score what follows anew.")
@click.argument("old")
@click.argument("new")
@click.option("--at", "at", required=True, metavar="BUCKET", help="First bucket to be scored anew: number or its day.")
@click.option("--why", default="", help="Noted down with the fork.")
@click.option("--by", help="Who does it; without it the user of this system.")
@json_option
def fork(old: str, new: str, at: str, why: str, by: str | None, as_json: bool) -> int:
    """Take a monitor's assessments up to a bucket, score what follows anew.

    OLD and NEW are monitor files (or names of shipped ones). The new assessments topic gets OLD's records up to the
    first message of each source partition that was received in BUCKET or later; `vigilia run --monitor NEW` then reads
    the source topics on from there. No record of OLD counts in BUCKET or later; messages of earlier buckets that arrive
    behind the cut are scored by NEW. Cuts are noted on VIGILIA_CUTOVER_TOPIC, and `vigilia audit --monitor NEW` checks
    them.

    A fork that was broken off goes on when the command is given again. OLD may run meanwhile; NEW must not have run.

    \b
    Example:
      vigilia monitor fork live.toml live-2.toml --at 2026-03-01 --why "model 7"
    """
    from streams.cutover.fork import fork as make
    from streams.cutover.log import user

    settings, before, after = prepare(), load_monitor(old), load_monitor(new)
    bucket = bucket_number(at, after.bucket_ms)
    made = make(settings, before, after, bucket, by=by or user(), why=why)
    if as_json:
        write_json({"fork": made.forked, "copied": made.copied, "before": made.before})
        return 0
    there = f", {made.before:,} were there" if made.before else ""
    click.echo(
        f"{after.name} has the assessments of {before.name} up to bucket {bucket}: {made.copied:,} copied{there}"
    )
    for cut in made.forked.cuts:
        click.echo(f"  {cut.topic}/{cut.partition}: up to offset {cut.offset}")
    click.echo(f"next: vigilia run --monitor {new}")
    return 0
