"""`vigilia duplicates`: which reports were taken for one case and why, and which may be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

import click

from streams.audit.log import AssessmentLog
from streams.audit.recount import Case, recount
from streams.budget.reading import assessed
from streams.commands.files import day_options, messages
from streams.commands.finding import find_alert
from streams.commands.options import group_monitor_option, json_option, prepare
from streams.commands.output import print_table, printable, progress, write_json
from streams.duplicates.listing import Listing, Merge, Suspicion, among, list_duplicates
from streams.duplicates.report import Place, Report, report_of
from streams.duplicates.suspects import FALSE_PER_REPORT
from streams.errors import InputError
from streams.events import SourceMessage
from streams.intake import parse
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings
from streams.subscribers.reading import TopicReader

__all__ = ["command", "read_files"]

SHOWN = 20
_DAY_MS = 86_400_000


@click.command("duplicates", short_help="Show which reports were taken for one case and why.")
@click.argument("format_", metavar="[FORMAT]", type=click.Choice(["vaers", "json"]), required=False)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@day_options
@group_monitor_option
@click.option("--case", "case_ids", multiple=True, metavar="CASE_ID", help="Only what concerns this case; repeatable.")
@click.option("--alert", "alert_id", metavar="ALERT_ID", help="Only suspects among the cases that this alert names.")
@click.option(
    "--false-rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=FALSE_PER_REPORT,
    show_default=True,
    help="False suspects per report that the threshold allows, by the model.",
)
@click.option("--limit", type=click.IntRange(0), default=SHOWN, show_default=True, help="Rows; --json shows all.")
@json_option
def command(
    format_: str | None,
    paths: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    monitor: str | None,
    case_ids: tuple[str, ...],
    alert_id: str | None,
    false_rate: float,
    limit: int,
    as_json: bool,
) -> None:
    """Show which reports were taken for one case and why, and which may be one.

    Merged are messages that share a key with an earlier one: the case id within its topic, or a fingerprint. They are
    not counted. Suspects are messages that count, and agree with an earlier one so far beyond chance that both may be
    one case: a score of the hit-miss model. They stay counted; it is for a person to look at the two reports where they
    lie. With --case each field is shown with its weight. No value of a report is ever shown.

    Reads the monitor's assessments and its source topics, or with FORMAT (`vaers`, `json`) files of reports.

    \b
    Examples:
      vigilia duplicates --monitor vaers
      vigilia duplicates --monitor vaers --alert 3f2a
      vigilia duplicates vaers DIR --to 1999-12-31 --case 119821
    """
    if bool(format_) != bool(paths):
        raise click.UsageError("give a FORMAT and files, or neither: then the monitor's topics are read")
    if format_ and alert_id:
        raise click.UsageError("--alert is about the monitor's topics, not about files")
    if format_ != "vaers" and (start or end):
        raise click.UsageError("--from and --to go with vaers")
    if monitor is None and format_ != "vaers":
        raise click.UsageError("Missing option '-m' / '--monitor'.")
    watched = load_monitor(monitor or "vaers")
    places: set[str] | None = None
    if format_ is None:
        settings = prepare()
        if alert_id:
            evidence = find_alert(settings, alert_id).evidence
            places = {f"{case.topic}/{case.partition}/{case.offset}" for case in evidence}
        cases, reports = _read_topics(settings, watched)
    else:
        cases, reports = read_files(messages(format_, paths, start, end, Counter()), watched)
    horizon = max(1, watched.duplicate_horizon_days * _DAY_MS // watched.bucket_ms)
    listing = list_duplicates(cases, reports, horizon, false_rate)
    merges, suspects = listing.merges, listing.suspects
    if places is not None:
        merges, suspects = [], among(suspects, places)
    if case_ids:
        merges = [merge for merge in merges if {merge.case_id, merge.of_case} & {*case_ids}]
        suspects = [suspect for suspect in suspects if {suspect.case_id, suspect.of_case} & {*case_ids}]
    if as_json:
        write_json({**_summary(listing), "merges": merges, "suspects": suspects})
    else:
        _print(listing, merges, suspects, limit, explained=bool(case_ids or alert_id))


def read_files(sent: Iterable[bytes | SourceMessage], monitor: Monitor) -> tuple[list[Case], dict[Place, Report]]:
    """The cases of files of reports, and what is compared of each."""
    reports: dict[Place, Report] = {}
    topic = monitor.topics[0]

    def noted() -> Iterator[bytes | SourceMessage]:
        for offset, message in enumerate(sent):
            place = (topic, 0, offset)
            if (read := _parsed(message, topic) if isinstance(message, bytes) else message) is not None:
                reports[place] = report_of(read, 0, place)
            yield message

    records = progress(assessed(noted(), monitor), "reading", lambda: None)
    return recount(((0, offset, record) for offset, record in enumerate(records)), monitor).cases, reports


def _read_topics(settings: Settings, monitor: Monitor) -> tuple[list[Case], dict[Place, Report]]:
    with AssessmentLog(settings, monitor) as log:
        cases = recount(progress(log.records(), "reading the log", lambda: len(log)), monitor).cases
    wanted = {case.position for case in cases if case.of is None}
    reports: dict[Place, Report] = {}
    for topic in monitor.topics:
        with TopicReader(settings, monitor.on_broker(topic)) as reader:
            for message in progress(reader.messages(), f"reading {topic}", lambda: None):
                place = (topic, message.partition() or 0, message.offset() or 0)
                if place in wanted and (read := _parsed(message.value(), topic, message.timestamp()[1])) is not None:
                    reports[place] = report_of(read, 0, place)
    return cases, reports


def _parsed(value: bytes | None, topic: str, timestamp: int = 1 << 42) -> SourceMessage | None:
    """The message, or None if it is none: then it has a dead letter and is no case."""
    try:
        return parse(value, topic=topic, timestamp=timestamp, headers=None, max_bytes=1 << 30)
    except InputError:
        return None


def _summary(listing: Listing) -> dict[str, object]:
    names = ("messages", "counted", "unread", "false_per_report", "least", "table", "compared")
    return {name: getattr(listing, name) for name in names}


def _print(listing: Listing, merges: list[Merge], suspects: list[Suspicion], limit: int, *, explained: bool) -> None:
    by = Counter(" + ".join(merge.keys) for merge in merges)
    shares = ", ".join(f"{number:,} by {keys}" for keys, number in sorted(by.items()))
    click.echo(f"{listing.messages:,} cases, {listing.counted:,} counted; merged: {shares or 'none'}")
    if explained:
        print_table(("message", "case", "duplicate of", "case", "keys"), map(_merge_row, merges[:limit]))
    strangers, neighbours = listing.least
    click.echo(
        f"{len(suspects):,} suspects among those counted, of {listing.compared:,} pairs compared: at least "
        f"{strangers:.1f} bits against strangers and {neighbours:.1f} against neighbours "
        f"({listing.false_per_report:g} false ones a report by the model; frequencies {listing.table})"
    )
    if listing.unread:
        click.echo(f"{listing.unread:,} cases could not be compared: their messages are gone from the source topics")
    if suspects and not explained:
        columns = ("message", "case", "maybe the same as", "case", ">bits", ">beside neighbours", "agree", "differ")
        print_table(columns, map(_suspect_row, suspects[:limit]))
    for suspect in suspects[:limit] if explained else ():
        click.echo(
            f"\n{suspect.at} (case {printable(suspect.case_id)})"
            f" may be {suspect.of} (case {printable(suspect.of_case)})"
        )
        rows = [(f.field, f.outcome, f.shared, f"{f.bits:+.2f}", f"{f.beside:+.2f}") for f in suspect.fields]
        total = ("all", "", "", f"{suspect.bits:+.2f}", f"{suspect.beside:+.2f}")
        print_table(("field", "outcome", "shared", ">bits", ">beside neighbours"), [*rows, total])
    if len(suspects) > limit:
        click.echo(f"{limit} shown; --limit or --json shows more", err=True)


def _merge_row(merge: Merge) -> tuple[str, ...]:
    return (merge.at, merge.case_id, merge.of, merge.of_case, " + ".join(merge.keys))


def _suspect_row(suspect: Suspicion) -> tuple[str, ...]:
    agree = ", ".join(f.field for f in suspect.fields if f.outcome not in ("miss", "blank"))
    differ = ", ".join(f.field for f in suspect.fields if f.outcome == "miss")
    bits, beside = f"{suspect.bits:.1f}", f"{suspect.beside:.1f}"
    return (suspect.at, suspect.case_id, suspect.of, suspect.of_case, bits, beside, agree, differ)
