"""`vigilia dead-letters`: messages that could not be used, and sending them again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import click
import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.audit.log import AssessmentLog
from streams.commands.options import group_monitor_option, json_option, prepare
from streams.commands.output import print_table, printable, progress, write_json
from streams.errors import ConfigurationError
from streams.events import DeadLetter, Gap, Tick
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings
from streams.subscribers.reading import TopicReader
from streams.transport.failures import transport_error

__all__ = ["RETRY_HEADER", "command"]

RETRY_HEADER = "vigilia-retry-of"
LARGEST_MESSAGE = 15_000_000  # above the broker's own limit, so that the broker is the one who refuses
DELIVERY_SECONDS = 60
QUEUED = 1000  # messages in hand before Kafka's answers are waited for

Position = tuple[str, int, int]


class Letter(msgspec.Struct, omit_defaults=True):
    """A dead letter as it is listed. `at`, `retried_as`: topic/partition/offset; `timestamp`: its message's own."""

    at: str
    reason: str
    detail: str
    timestamp: int
    retry_of: str | None = None
    retried_as: str | None = None

    @property
    def position(self) -> Position:
        """(topic, partition, offset)."""
        return parse_coordinates(self.at)


class Retried(NamedTuple):
    """What came of a retry: letters sent again, those whose bytes are gone, those that Kafka did not take, and those
    left out because they were sent again before, with the place where they then came to lie."""

    sent: list[str]
    gone: list[str]
    failed: dict[str, str]
    left_out: dict[str, str]


class Book(NamedTuple):
    """The dead letters of a log in order of their time, and the first offset of each source that it does not cover."""

    letters: list[Letter]
    ends: dict[tuple[str, int], int]


@click.group(
    "dead-letters", invoke_without_command=True, short_help="List messages that could not be used, or send them again."
)
@group_monitor_option
@click.option("--reason", help="Only this reason code, such as schema_mismatch.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the newest.")
@json_option
@click.pass_context
def command(ctx: click.Context, monitor: str | None, reason: str | None, limit: int | None, as_json: bool) -> None:
    """List messages that could not be used, or send them again.

    A dead letter is where a message's bytes are and why they could not be used; the bytes themselves are never shown.
    With --json one dead letter a line.

    \b
    Examples:
      vigilia dead-letters --monitor vaers --reason unreadable
      vigilia dead-letters retry --monitor vaers --reason unreadable
      vigilia dead-letters retry --monitor vaers --at vaers-reports/0/4711
    """
    ctx.obj = monitor
    if ctx.invoked_subcommand is not None:
        return
    settings, watched = prepare(), _monitor(monitor)
    letters = [letter for letter in read_book(settings, watched).letters if reason in (None, letter.reason)]
    shown = letters if limit is None else letters[-limit:]
    if as_json:
        for letter in shown:
            write_json(letter)
        return
    if shown:
        print_table(("message", "time", "reason", "detail", "retried as"), map(_row, shown))
    click.echo(
        f"{len(letters):,} dead letters" + (f", {len(shown):,} shown" if len(shown) < len(letters) else ""), err=True
    )


@command.command("retry", short_help="Send dead letters again.")
@group_monitor_option
@click.option("--reason", help="Only this reason code.")
@click.option("--at", "places", multiple=True, metavar="TOPIC/PARTITION/OFFSET", help="Only this one; may be repeated.")
@click.option("--again", is_flag=True, help="Those too that were sent again before.")
@json_option
@click.pass_context
def retry(
    ctx: click.Context, monitor: str | None, reason: str | None, places: tuple[str, ...], again: bool, as_json: bool
) -> int:
    """Send dead letters again: after an upgrade that reads them, or with --at any of them.

    The bytes are read at their coordinates and produced to the same topic and partition, with the header
    vigilia-retry-of. Those that were sent again before are left out, assessed since or not, but with --again. (Sent
    twice is not counted twice: the second is a duplicate.) The exit status is 1 if the bytes of one are gone (the
    topic's retention) or Kafka refuses one.

    \b
    Example:
      vigilia dead-letters retry --monitor vaers --reason schema_mismatch
    """
    settings, watched = prepare(), _monitor(monitor or ctx.obj)
    book = read_book(settings, watched)
    chosen = _chosen(book.letters, reason, {parse_coordinates(place) for place in places})
    _note_under_way(settings, watched, chosen, book.ends)
    result = send_again(settings, watched, [x for x in chosen if again or x.retried_as is None])
    if not again:
        result.left_out.update((x.at, x.retried_as) for x in chosen if x.retried_as is not None)
    if as_json:
        write_json(result._asdict())
    else:
        for place in result.gone:
            click.echo(f"{place}: its bytes are gone, the topic's retention has deleted them", err=True)
        for place, why in result.failed.items():
            click.echo(f"{place}: not sent: {why}", err=True)
        click.echo(f"{len(result.sent):,} sent again, {len(result.gone):,} gone, {len(result.failed):,} refused")
        if result.left_out:
            click.echo(f"{len(result.left_out):,} left out: sent again before; --again sends them once more", err=True)
    return 1 if result.gone or result.failed else 0


def _monitor(name: str | None) -> Monitor:
    if name is None:
        raise click.UsageError("Missing option '-m' / '--monitor'.")
    return load_monitor(name)


def parse_coordinates(place: str) -> Position:
    """(topic, partition, offset) of topic/partition/offset. Raises ConfigurationError."""
    parts = place.rsplit("/", 2)
    if len(parts) != 3 or not (parts[0] and parts[1].isdecimal() and parts[2].isdecimal()):
        raise ConfigurationError(f"{printable(place)}: coordinates look like adverse-events/0/4711")
    return parts[0], int(parts[1]), int(parts[2])


def read_book(settings: Settings, monitor: Monitor) -> Book:
    """What a monitor's log says of dead letters."""
    letters: dict[Position, Letter] = {}
    retried: dict[str, str] = {}
    ends: dict[tuple[str, int], int] = {}
    with AssessmentLog(settings, monitor) as log:
        for _, _, record in progress(log.records(), "reading the log", lambda: len(log)):
            if isinstance(record, Tick):
                continue
            source = (record.topic, record.partition)
            ends[source] = max(ends.get(source, 0), record.offset + 1)
            if isinstance(record, Gap):
                continue
            place = f"{record.topic}/{record.partition}/{record.offset}"
            if record.retry_of is not None:
                retried[record.retry_of] = place
            if isinstance(record, DeadLetter):
                letter = Letter(place, record.reason, record.detail, record.timestamp, record.retry_of)
                letters[record.topic, record.partition, record.offset] = letter
    for letter in letters.values():
        letter.retried_as = retried.get(letter.at)
    return Book(sorted(letters.values(), key=lambda letter: (letter.timestamp, letter.position)), ends)


def _note_under_way(
    settings: Settings, monitor: Monitor, letters: Iterable[Letter], ends: Mapping[tuple[str, int], int]
) -> None:
    """Mark letters that were sent again and are not assessed yet: what lies on the source topics behind the log."""
    by_place = {letter.at: letter for letter in letters if letter.retried_as is None}
    for topic in sorted({letter.position[0] for letter in by_place.values()}):
        with TopicReader(settings, monitor.on_broker(topic)) as reader:
            behind = {partition: ends.get((topic, partition), 0) for partition in reader.ends}
            for message in reader.messages(behind):
                for name, content in message.headers() or []:
                    letter = by_place.get((content or b"").decode("utf-8", "replace")) if name == RETRY_HEADER else None
                    if letter is not None:
                        letter.retried_as = f"{topic}/{message.partition()}/{message.offset()}"


def _row(letter: Letter) -> tuple[object, ...]:
    time = datetime.fromtimestamp(letter.timestamp / 1000, UTC)
    return (letter.at, f"{time:%Y-%m-%d %H:%M:%S}", letter.reason, letter.detail, letter.retried_as)


def _chosen(letters: list[Letter], reason: str | None, places: set[Position]) -> list[Letter]:
    unknown = places - {letter.position for letter in letters}
    if unknown:
        named = ", ".join("/".join(map(str, place)) for place in sorted(unknown))
        raise ConfigurationError(f"no dead letter at {named}; `vigilia dead-letters` lists them")
    return [
        letter for letter in letters if reason in (None, letter.reason) and (not places or letter.position in places)
    ]


def send_again(settings: Settings, monitor: Monitor, letters: Iterable[Letter]) -> Retried:
    """Produce the bytes of dead letters again. Raises what reading the topics raises."""
    result = Retried([], [], {}, {})
    producer = _producer(settings)
    waiting = sorted(letters, key=lambda letter: letter.position)
    for topic, group in groupby(waiting, key=lambda letter: letter.position[0]):
        with TopicReader(settings, monitor.on_broker(topic)) as reader:
            for letter in progress(group, f"sending again to {topic}", lambda: None):
                _, partition, offset = letter.position
                message = reader.message_at(partition, offset)
                if message is None:
                    result.gone.append(letter.at)
                else:
                    _produce(producer, message, letter.at, result)
                producer.poll(0)
    if producer.flush(DELIVERY_SECONDS):
        known = {*result.sent, *result.gone, *result.failed}
        result.failed.update((x.at, "no answer from Kafka") for x in waiting if x.at not in known)
    return result


def _producer(settings: Settings) -> Producer:
    try:
        return Producer(
            {
                **settings.kafka(),
                "enable.idempotence": True,
                "message.max.bytes": LARGEST_MESSAGE,
                "message.timeout.ms": DELIVERY_SECONDS * 1000,
            },
            logger=logging.getLogger("librdkafka"),
        )
    except KafkaException as error:
        raise transport_error(error, "settings for Kafka") from None


def _produce(producer: Producer, message: Message, place: str, result: Retried) -> None:
    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is None:
            result.sent.append(place)
        else:
            result.failed[place] = error.name()

    if len(producer) >= QUEUED:
        producer.flush(DELIVERY_SECONDS)
    headers = [(name, value) for name, value in message.headers() or [] if name != RETRY_HEADER]
    try:
        producer.produce(
            message.topic(),
            message.value(),
            message.key(),
            message.partition(),
            delivered,
            headers=[*headers, (RETRY_HEADER, place.encode())],
        )
    except KafkaException as error:
        result.failed[place] = error.args[0].name()
