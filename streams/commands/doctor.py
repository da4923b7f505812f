"""`vigilia doctor`: what vigilia can and can't reach, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import click

from streams.commands.checks import Check, access, state, triton
from streams.commands.hints import hint
from streams.commands.options import json_option, prepare, store_settings
from streams.commands.output import printable, write_json
from streams.errors import StoreUnavailable, TopicMissing, VigiliaError
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings

__all__ = ["answering", "command", "examine"]

REQUEST_SECONDS = 5.0
SIGNS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


class _Doctor(click.Command):
    """Lists the environment variables under its help; they are read only then."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Environment"):
            formatter.write_dl(
                [
                    (f"VIGILIA_{name.upper()}", f"{field.description or ''} [{_default(field.default)}]".strip())
                    for name, field in Settings.model_fields.items()
                ]
            )


def _default(value: object) -> str:
    return "none" if value is None else str(value)


@click.command("doctor", cls=_Doctor, short_help="Check what vigilia needs, and say what to do about it.")
@click.option("-m", "--monitor", metavar="FILE|NAME", help="Check this monitor's topics, state and model too.")
@click.option("--quick", is_flag=True, help="Only whether Kafka and Redis answer: for a container's health check.")
@json_option
def command(monitor: str | None, quick: bool, as_json: bool) -> int:
    """Check what vigilia needs, and say what to do about it.

    Looks at Kafka, its topics, their clocks and what these credentials may do, at Redis and the state in it (which
    partition holds up closes, how many pairs are watched), and at the model. Changes nothing. The exit status is 1 if
    anything fails.

    \b
    Examples:
      VIGILIA_BOOTSTRAP_SERVERS=kafka:9092 vigilia doctor --monitor vaers
      vigilia doctor --quick
    """
    if quick and monitor is not None:
        raise click.UsageError("--quick looks at no monitor")
    settings = prepare()
    found = answering(settings) if quick else examine(settings, None if monitor is None else load_monitor(monitor))
    checks = list(found)
    if as_json:
        write_json([check._asdict() for check in checks])
    else:
        for check in checks:
            _print(check)
    return 1 if any(check.status == "fail" for check in checks) else 0


def _print(check: Check) -> None:
    sign, colour = SIGNS[check.status]
    click.echo(f"{click.style(sign, fg=colour)}  {check.name:<10}  {printable(check.found)}")
    if check.what_to_do:
        click.echo(f"      {'':<10}  -> {printable(check.what_to_do)}")


def examine(settings: Settings, monitor: Monitor | None) -> Iterator[Check]:
    """Every check, one after the other; none stops the others."""
    yield _versions()
    yield _fingerprint_key(settings)
    yield from _guarded("kafka", lambda: _kafka(settings, monitor))
    yield from _guarded("redis", lambda: _redis(settings, monitor))
    yield from _guarded("model", lambda: _model(settings, monitor))


def answering(settings: Settings) -> Iterator[Check]:
    """Whether Kafka and Redis answer, with as little work as can be."""
    from streams.subscribers.reading import probe

    def kafka() -> Iterator[Check]:
        probe(settings, REQUEST_SECONDS)
        yield Check("kafka", "ok", f"{settings.bootstrap_servers} answers")

    def redis() -> Iterator[Check]:
        from redis import Redis, RedisError

        from streams.commands.options import store_url

        url, seconds = store_url(settings), REQUEST_SECONDS
        try:
            with Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds) as client:
                client.ping()
        except RedisError as error:
            raise StoreUnavailable(f"Redis: {error}") from None
        yield Check("redis", "ok", "answers")

    yield from _guarded("kafka", kafka)
    yield from _guarded("redis", redis)


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except VigiliaError as error:
        yield Check(name, "fail", str(error), hint(error).removesuffix("; `vigilia doctor` tells more"))


def _versions() -> Check:
    packages = ("confluent-kafka", "faust-streaming", "redis", "onnxruntime")
    found = ", ".join(f"{name} {version(name)}" for name in packages)
    return Check("software", "ok", f"Python {sys.version.split()[0]}, {found}")


def _fingerprint_key(settings: Settings) -> Check:
    if settings.fingerprint_key == Settings.model_fields["fingerprint_key"].default:
        todo = "set VIGILIA_FINGERPRINT_KEY to a secret of your own before a monitor's first message, and keep it"
        return Check("key", "warn", "fingerprints of patients are hashed with the key that everyone knows", todo)
    return Check("key", "ok", "fingerprints are hashed with a key of your own")


# ------------------------------------------------------------------ Kafka


def _kafka(settings: Settings, monitor: Monitor | None) -> Iterator[Check]:
    from streams.subscribers.reading import probe
    from streams.transport.topics import check_clock, ensure_topics, required_topics

    found = probe(settings, REQUEST_SECONDS)
    yield Check("kafka", "ok", f"{settings.bootstrap_servers} answers and shows {len(found)} topics")
    if monitor is None:
        return
    look_only = settings.model_copy(update={"create_topics": False})
    sources = [name for topic in monitor.topics if (name := monitor.on_broker(topic)) in found]
    for topic in required_topics(monitor, settings):
        try:
            ensure_topics(look_only, [topic], REQUEST_SECONDS)
        except TopicMissing as error:
            if topic.name not in found and settings.create_topics:
                yield Check(
                    "topic", "warn", f"{topic.name} is missing", "nothing: `vigilia run` creates it at its start"
                )
            else:
                yield Check("topic", "fail", f"{topic.name} is not as required", str(error))
        else:
            count = f"{found[topic.name]} partition{'' if found[topic.name] == 1 else 's'}"
            yield Check("topic", "ok", f"{topic.name}, {count}")
    yield from access(settings, monitor, found, REQUEST_SECONDS)
    advice = check_clock(settings, sources, REQUEST_SECONDS) if sources else []
    for line in advice:
        yield Check("clock", "fail", "one producer's wrong clock could close every bucket", line)
    if sources and not advice:
        yield Check("clock", "ok", "source topics refuse timestamps more than 24 h ahead of the broker's clock")


# ------------------------------------------------------------------ Redis


def _redis(settings: Settings, monitor: Monitor | None) -> Iterator[Check]:
    from streams.commands.options import store_url
    from streams.state.store import Store

    if settings.redis_url is None:
        todo = "set VIGILIA_REDIS_URL for `vigilia run`; `demo` and `replay` bring a Redis of their own"
        yield Check("redis", "warn", "VIGILIA_REDIS_URL is not set", todo)
        return
    watched = monitor or load_monitor("demo")
    name = watched if monitor is not None else watched.model_copy(update={"name": "vigilia-doctor"})
    store = Store.connect(store_url(settings), store_settings(name), timeout=REQUEST_SECONDS)
    try:
        info: dict[str, Any] = store.client.info()
        limit = f"of {info['maxmemory_human']}" if info.get("maxmemory") else "without a limit"
        kind = info.get("server_name", "redis")
        found = (
            f"{kind} {info.get('valkey_version', info['redis_version'])}, {info['used_memory_human']} in use {limit}"
        )
        yield Check("redis", "ok", f"{found}, noeviction")
        if monitor is not None:
            yield from state(store, monitor)
    finally:
        store.close()


# ------------------------------------------------------------------ the model


def _model(settings: Settings, monitor: Monitor | None) -> Iterator[Check]:
    if monitor is not None and not monitor.reads_text:
        yield Check("model", "ok", f"not needed: monitor {monitor.name} reads coded terms alone")
        return
    from inference.artefact import load_artefact

    artefact = load_artefact(settings.model_folder, None if monitor is None else monitor.model)
    yield Check("model", "ok", f"{artefact.model} in {artefact.folder}")
    if settings.triton_urls is not None:
        yield from triton(settings, artefact)
