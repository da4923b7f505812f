"""One connection to one monitor's state: scripts by name, Redis' errors as ours."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import redis
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,  # noqa: A004  (redis' own, not the built-in)
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004
)

from streams.detect.contribution import Position
from streams.detect.progress import Source
from streams.detect.rule import DAY_MS, RULE_VERSION, RULES_VERSION, rule_of
from streams.errors import (
    ConfigurationError,
    SchemaTooNew,
    SettingsChanged,
    StateConflict,
    StateDirty,
    StateError,
    StoreUnavailable,
)
from streams.monitors import Monitor
from streams.state.keys import Keys

__all__ = ["SCHEMA", "Session", "StoreSettings", "load_scripts", "pack", "raw"]

SCHEMA = 1  # of everything in keys.py; a higher number in Redis was written by a newer vigilia
OLDEST_REDIS = (6, 2)
MAX_TOPICS = 100  # a position string has two digits for the topic

pack = msgspec.msgpack.Encoder().encode


def raw(data: bytes) -> msgspec.Raw:
    """`data` for `pack`, in a form that the scripts can read: their MessagePack knows no binary type, only strings."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


@dataclass(frozen=True)
class StoreSettings:
    """What of a monitor the state depends on. `horizon` (duplicates) and `window` (reference) are in buckets.

    `settings_hash` names the settings and the versions of the rules, which are a part of vigilia.
    """

    monitor: str
    settings_hash: str
    roster: tuple[Source, ...]
    horizon: int
    window: int

    @classmethod
    def of(cls, monitor: Monitor) -> StoreSettings:
        """What of `monitor` its state in Redis depends on."""
        horizon = max(1, monitor.duplicate_horizon_days * DAY_MS // monitor.bucket_ms)
        decided_by = f"{monitor.settings_hash} ({RULE_VERSION} {RULES_VERSION})"
        return cls(monitor.name, decided_by, monitor.roster, horizon, rule_of(monitor).window)

    def __post_init__(self) -> None:
        if not self.roster or len({topic for topic, _ in self.roster}) > MAX_TOPICS:
            raise ConfigurationError(f"monitor {self.monitor}: its roster needs 1 to {MAX_TOPICS} topics")


@cache
def load_scripts() -> Mapping[str, str]:
    """The text of each script by its name, with the shared functions before it."""
    folder = resources.files("streams.state") / "lua"
    texts = {file.name.removesuffix(".lua"): file.read_text("utf-8") for file in folder.iterdir()}
    common = texts.pop("common")
    return {name: common + text for name, text in texts.items()}


class Session:
    """Runs scripts for one monitor. Not for use from several threads at once."""

    def __init__(self, client: redis.Redis, settings: StoreSettings, scripts: Mapping[str, str] | None = None) -> None:
        self.client: Any = client  # its types are those of every option at once
        self.settings = settings
        self.keys = Keys(settings.monitor)
        self.topics = tuple(sorted({topic for topic, _ in settings.roster}))
        self._topic_index = {topic: i for i, topic in enumerate(self.topics)}
        self._fields = {source: self.keys.source(self._topic_index[source[0]], source[1]) for source in settings.roster}
        self._roster = pack(list(self._fields.values()))
        self._scripts = {
            name: (text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
            for name, text in (scripts or load_scripts()).items()
        }

    def check(self) -> None:
        """Raise if this Redis can't hold the state: too old, evicting, or of other settings or a newer schema."""
        with self._errors():
            info: dict[str, Any] = self.client.info()
            known = self.client.hmget(self.keys.meta, ["settings", "schema"])
        version = tuple(int(part) for part in re.findall(r"\d+", str(info["redis_version"]))[:2])
        if version < OLDEST_REDIS:
            raise ConfigurationError(f"Redis {info['redis_version']} is too old: 6.2 or newer is needed")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise ConfigurationError(f"Redis may evict state: set maxmemory-policy to noeviction (it is {policy})")
        self._check_settings(known[0], known[1])

    def _check_settings(self, settings: bytes | None, schema: bytes | None) -> None:
        if settings is not None and settings.decode() != self.settings.settings_hash:
            raise self._changed(settings.decode())
        if schema is not None and int(schema) > SCHEMA:
            raise SchemaTooNew(f"monitor {self.settings.monitor}: schema {int(schema)} in Redis, {SCHEMA} is known")

    def _changed(self, found: str) -> SettingsChanged:
        return SettingsChanged(
            f"monitor {self.settings.monitor}: its state was built with settings {found}, "
            f"now they are {self.settings.settings_hash}; settings and rules of a state never change: "
            "give the monitor a new name and replay its topics"
        )

    def run(self, name: str, keys: Sequence[str], *args: bytes | str | int) -> Any:
        """Run a script; settings and schema go before `args`.

        Raises StateDirty, StateConflict, SettingsChanged, SchemaTooNew, StoreUnavailable.
        """
        text, sha = self._scripts[name]
        rest = (len(keys), *keys, self.settings.settings_hash, SCHEMA, *args)
        with self._errors():
            try:
                return self.client.execute_command("EVALSHA", sha, *rest)
            except NoScriptError:
                return self.client.execute_command("EVAL", text, *rest)

    def run_bare(self, name: str, keys: Sequence[str], *args: bytes | str | int) -> Any:
        """Run a script that takes no settings."""
        with self._errors():
            return self.client.execute_command("EVAL", self._scripts[name][0], len(keys), *keys, *args)

    def position(self, position: Position) -> str:
        """`position` as Redis holds it: bytewise order is the order of (topic, partition, offset)."""
        topic, partition, offset = position
        return f"{self._topic_index[topic]:02d}:{partition:05d}:{offset:015d}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError) as error:
            raise StoreUnavailable(f"Redis: {error}") from error
        except ResponseError as error:
            raise self._state_error(str(error)) from error

    def _state_error(self, message: str) -> StateError | SettingsChanged:
        code, _, rest = message.partition(" ")
        monitor = self.settings.monitor
        if code == "SETTINGS":
            return self._changed(rest)
        if code == "SCHEMA":
            return SchemaTooNew(f"monitor {monitor}: schema {rest} in Redis, {SCHEMA} is known")
        if code == "CONFLICT":
            return StateConflict(f"monitor {monitor}: {rest}")
        if code == "DIRTY":
            return StateDirty(f"monitor {monitor}: the script `{rest}` stopped half-way")
        # Anything else stopped the script where it was: what it had written stands.
        return StateDirty(f"monitor {monitor}: {message}")
