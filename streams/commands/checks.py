"""What the doctor looks at beyond "does it answer": access, what holds up closes, how full the vocabulary is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from streams.commands.hints import hint
from streams.errors import NotAuthorised, NotServed, StateDirty, TransportError, WrongModel
from streams.monitors import Monitor
from streams.settings import Settings

if TYPE_CHECKING:
    from inference.artefact import Artefact
    from streams.detect.progress import Source, SourceState
    from streams.detect.shares import Blocks

__all__ = ["Check", "access", "closes", "pairs", "state", "triton"]

NEARLY_FULL = 0.8
MOST_NAMED = 5


class Check(NamedTuple):
    """One line: what was looked at, how it is, and what to do if it is not well."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    what_to_do: str = ""


# ------------------------------------------------------------------ Kafka's ACLs


def access(settings: Settings, monitor: Monitor, present: Iterable[str], seconds: float) -> Iterator[Check]:
    """Whether Kafka lets these credentials do what a worker does, with the topics that are `present` and its groups."""
    from confluent_kafka.admin import AclOperation

    from streams.transport import control_topic
    from streams.transport.groups import group_operations, topic_operations

    read, write = AclOperation.READ, AclOperation.WRITE
    needed = {
        **{monitor.on_broker(topic): {read} for topic in monitor.topics},
        monitor.assessments_topic: {read, write},
        settings.alerts_topic: {read, write},
        control_topic(monitor): {read},
    }
    topics = sorted(needed.keys() & set(present))
    groups = [f"{monitor.name}.{name}" for name in ("assess", "detect", "worker.any")]
    lacking = []
    try:
        for name, allowed in topic_operations(settings, topics, seconds) if topics else ():
            lacking += [f"{operation.name} on topic {name}" for operation in sorted(needed[name] - allowed)]
        for name, allowed in group_operations(settings, groups, seconds):
            lacking += [] if read in allowed else [f"READ on group {name}"]
    except NotAuthorised as error:
        yield Check("access", "fail", str(error), "grant the ACLs that docs/configuration.md lists")
    except TransportError as error:
        yield Check("access", "warn", f"Kafka does not say what is allowed: {error}")
    else:
        if lacking:
            todo = "grant it: " + ", ".join(lacking)
            yield Check("access", "fail", f"{len(lacking)} of the rights that a worker needs are missing", todo)
        else:
            yield Check("access", "ok", f"{len(topics)} topics and {len(groups)} groups may be used as a worker does")


# ------------------------------------------------------------------ the state


def state(store: Any, monitor: Monitor) -> Iterator[Check]:
    """How far a monitor's state in Redis is."""
    from streams.alerts.record import start_of
    from streams.detect.memory import decode_memory

    try:
        positions = store.positions()
    except StateDirty as error:
        yield Check("state", "warn", str(error), "nothing: `vigilia run` wipes it and reads the log again")
        return
    if not positions.next:
        yield Check("state", "ok", f"none yet for monitor {monitor.name}, settings {monitor.settings_hash}")
        return
    base = store.base()
    until = (
        "no bucket closed yet" if base.closed is None else f"closed up to {start_of(base.closed, monitor.bucket_ms)}"
    )
    applied = sum(positions.next.values())
    yield Check("state", "ok", f"{applied:,} assessments applied, {until}, settings {monitor.settings_hash}")
    yield closes(positions.sources, store.open_buckets(), monitor.bucket_ms)
    yield pairs(base.drugs, base.events, decode_memory(base.memo).blocks if base.memo else (), monitor)


def closes(sources: Mapping[Source, SourceState], open_buckets: Iterable[int], width_ms: int) -> Check:
    """Whether buckets wait for a partition that says nothing while others have gone on."""
    from streams.alerts.record import start_of
    from streams.detect.progress import holding

    lowest, holders = holding(sources)
    furthest = max((source.floor for source in sources.values() if source.floor is not None), default=None)
    waiting = [b for b in open_buckets if furthest is not None and b < furthest and (lowest is None or b >= lowest)]
    if not waiting or furthest is None or (lowest is not None and furthest - lowest <= 1):
        return Check("closes", "ok", "no bucket waits for a partition that lags behind the others")
    names = ", ".join(f"{topic}/{number}" for topic, number in holders[:MOST_NAMED])
    more = f" and {len(holders) - MOST_NAMED} more" if len(holders) > MOST_NAMED else ""
    why = "has told no time yet" if lowest is None else f"is only at {start_of(lowest, width_ms)}"
    return Check(
        "closes",
        "warn",
        f"{len(waiting):,} buckets can't be closed: {names}{more} {why}, others are at {start_of(furthest, width_ms)}",
        "nothing while it is being loaded; else live = true in the monitor (under a new name) lets the clock speak for "
        "a quiet partition, or leave a topic out that never says anything",
    )


def pairs(drugs: int, events: int, blocks: Blocks, monitor: Monitor) -> Check:
    """How much of the budget's K the vocabulary takes."""
    from streams.detect.shares import pairs_in

    known, planned = drugs * events, monitor.alarms.pairs
    found = f"{drugs:,} drugs x {events:,} events = {known:,} pairs watched, alarms.pairs is {planned:,}"
    larger = "for more take a larger alarms.pairs under a new monitor name, and replay"
    if not monitor.is_open:
        if known <= NEARLY_FULL * planned:
            return Check("pairs", "ok", found)
        return Check("pairs", "warn", f"{found}; beyond it the worker stops", larger)
    if known <= planned:
        return Check("pairs", "ok", found)
    parts = ", ".join(f"{n:,} at {4**block}" for block, n in enumerate(pairs_in(blocks)) if n)
    return Check("pairs", "warn", f"{found}; times the usual threshold: {parts}", larger)


# ------------------------------------------------------------------ Triton


def triton(settings: Settings, artefact: Artefact) -> Iterator[Check]:
    """Whether each Triton server serves this artefact: its tensors, its hash, its answer to a known sentence."""
    from streams.worker.classifier import triton_classifier

    classifier = triton_classifier(settings, artefact)
    try:
        classifier.examined()
        versions = {where: found["version"] for where, found in classifier.servers().items()}
        for where, trouble in classifier.troubles().items():
            if trouble is None:
                found = f"{where} serves it as {settings.triton_model} version {versions[where]}"
                yield Check("triton", "ok", f"{found} and answers a known sentence rightly")
            else:
                todo = hint(trouble).removesuffix("; `vigilia doctor` tells more")
                if isinstance(trouble, WrongModel | NotServed):
                    todo = "push and load it with `vigilia model`, or point VIGILIA_MODEL_FOLDER at what is served"
                yield Check("triton", "fail", str(trouble), todo)
    finally:
        classifier.close()
