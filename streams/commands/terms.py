"""`vigilia terms`: what vocabularies make of names, and which names none of them knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import msgspec

from streams.audit.log import AssessmentLog
from streams.commands.options import group_monitor_option, json_option, monitor_option, prepare
from streams.commands.output import print_table, printable, progress, write_json
from streams.errors import ConfigurationError
from streams.events import Assessment, AssessmentRecord
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings
from streams.terms.loaders import FORMATS, load_vocabulary
from streams.terms.translate import load_terms, vocabulary_version
from streams.terms.vocabulary import Kind, Match, Terms

__all__ = ["TermCount", "command", "term_counts"]

KINDS: tuple[Kind, ...] = ("drugs", "events")


class TermCount(msgspec.Struct, frozen=True):
    """A term of the log: how many messages name it, whether a vocabulary has it, and the names that are only like it
    (name, similarity in percent, messages)."""

    kind: Kind
    term: str
    messages: int
    mapped: bool
    fuzzy: list[tuple[str, int, int]]


@click.group("terms", invoke_without_command=True, short_help="Show which names no vocabulary knows.")
@group_monitor_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="How many of each kind to show.")
@json_option
@click.pass_context
def command(ctx: click.Context, monitor: str | None, limit: int, as_json: bool) -> None:
    """Show which names no vocabulary knows.

    Counts the terms of a monitor's assessments log. A name that no vocabulary has is not dropped: it is watched as it
    is spelled. "like" marks names that were taken for a term because they look like a name of it. With --json one term
    a line, all of them.

    \b
    Examples:
      vigilia terms --monitor our-hospital.toml
      vigilia terms lookup "Tylenol" --monitor our-hospital.toml
      vigilia terms inspect events meddra /data/MedDRA_28_0/MedAscii
    """
    if ctx.invoked_subcommand is not None:
        return
    if monitor is None:
        raise click.UsageError("Missing option '-m' / '--monitor'.")
    settings, watched = prepare(), load_monitor(monitor)
    counts = term_counts(settings, watched, load_terms(watched))
    if as_json:
        for count in counts:
            write_json(count)
        return
    click.echo(f"vocabulary {vocabulary_version(watched)}")
    for kind in KINDS:
        _print([count for count in counts if count.kind == kind], kind, limit)


def term_counts(settings: Settings, monitor: Monitor, terms: Terms) -> list[TermCount]:
    """The terms of a monitor's log, drugs first, the most frequent first. Raises as `AssessmentLog`."""
    named: dict[Kind, Counter[str]] = {kind: Counter() for kind in KINDS}
    fuzzy: Counter[tuple[str, str, int]] = Counter()
    with AssessmentLog(settings, monitor) as log:
        for record in _once(progress(log.records(), "reading the log", lambda: len(log))):
            named["drugs"].update(record.drugs)
            named["events"].update(record.events)
            fuzzy.update((found.term, found.spelled, found.similarity) for found in record.fuzzy)
    like: dict[str, list[tuple[str, int, int]]] = {}
    for (term, spelled, similarity), messages in fuzzy.most_common():
        like.setdefault(term, []).append((spelled, similarity, messages))
    known = {kind: frozenset[str]().union(*(v.terms for v in terms.vocabularies[kind])) for kind in KINDS}
    return [
        TermCount(kind, term, messages, term in known[kind], like.get(term, []))
        for kind in KINDS
        for term, messages in sorted(named[kind].items(), key=lambda item: (-item[1], item[0]))
    ]


def _once(records: Iterator[tuple[int, int, AssessmentRecord]]) -> Iterator[Assessment]:
    """Each assessment once: a restart of assess may have written one twice."""
    following: dict[tuple[str, int], int] = {}
    for _, _, record in records:
        if isinstance(record, Assessment) and record.offset >= following.get((record.topic, record.partition), 0):
            following[record.topic, record.partition] = record.offset + 1
            yield record


def _print(counts: list[TermCount], kind: Kind, limit: int) -> None:
    unmapped = [count for count in counts if not count.mapped]
    like = [(count.term, *name) for count in counts for name in count.fuzzy]
    total, without = (sum(count.messages for count in some) for some in (counts, unmapped))
    share = f" ({without / total:.1%} of all mentions)" if total else ""
    click.echo(f"\n{kind}: {len(counts):,} terms, {len(unmapped):,} of them in no vocabulary{share}")
    if unmapped[:limit]:
        print_table(("in no vocabulary", ">messages"), [(c.term, f"{c.messages:,}") for c in unmapped[:limit]])
    if like[:limit]:
        rows = [(spelled, term, f"{similarity}%", f"{n:,}") for term, spelled, similarity, n in like[:limit]]
        print_table(("name", "like", ">similarity", ">messages"), rows)


@command.command("lookup", short_help="Show what a name stands for.")
@click.argument("name")
@monitor_option
@json_option
def lookup(name: str, monitor: str, as_json: bool) -> int:
    """Show what a name stands for, as a drug and as an event; the exit status is 1 if it is unmapped as both.

    \b
    Example:
      vigilia terms lookup "pyrexia" --monitor our-hospital.toml
    """
    prepare()
    terms = load_terms(load_monitor(monitor))
    found: dict[Kind, Match] = {"drugs": terms.drug(name), "events": terms.event(name)}
    if as_json:
        write_json({kind: match._asdict() for kind, match in found.items()})
    for kind, match in () if as_json else found.items():
        how = f"by {match.vocabulary}" + (
            "" if match.similarity == 100 else f", like {match.via!r} ({match.similarity}%)"
        )
        click.echo(f"{kind}: " + (f"{printable(', '.join(match.terms))} {how}" if match.terms else "unmapped"))
        for vocabulary in terms.vocabularies[kind]:
            for term in match.terms:
                if term in vocabulary.above:
                    click.echo(f"  {' < '.join([term, *vocabulary.above[term]])}")
                for group, members in vocabulary.groups.items():
                    if term in members:
                        click.echo(f"  SMQ {group}")
    return 0 if any(match.terms for match in found.values()) else 1


@command.command("inspect", short_help="Read a vocabulary's files and show what a monitor needs to name it.")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("format_", metavar="FORMAT")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@json_option
def inspect(kind: str, format_: str, path: Path | None, as_json: bool) -> None:
    """Read a vocabulary's files and show what a monitor needs to name it.

    FORMAT is open, rxnorm, whodrug, meddra, obo or csv; PATH is not needed for open.

    \b
    Example:
      vigilia terms inspect drugs rxnorm /data/RxNorm_full_05062024/rrf
    """
    of = cast("Kind", kind)
    if format_ not in FORMATS[of]:
        raise ConfigurationError(f"no format {printable(format_)} of {kind}; possible are {', '.join(FORMATS[of])}")
    vocabulary = load_vocabulary(of, format_, path)
    figures = {"names": len(vocabulary.entries), "terms": len(vocabulary.terms), "ambiguous": vocabulary.ambiguous}
    if as_json:
        about = {"format": format_, "version": vocabulary.version, "digest": vocabulary.digest}
        write_json({**about, **figures, "groups": len(vocabulary.groups)})
        return
    click.echo(
        f"{format_} {printable(vocabulary.version)}: " + ", ".join(f"{n:,} {what}" for what, n in figures.items())
    )
    if vocabulary.groups:
        click.echo(f"{len(vocabulary.above):,} terms with their hierarchy, {len(vocabulary.groups):,} SMQs")
    place = "" if path is None else f'path = "{path}"\n'
    click.echo(f'\n[[terms.{kind}]]\nformat = "{format_}"\n{place}digest = "{vocabulary.digest}"')
