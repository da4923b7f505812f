"""The reader of monitor files."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streams.errors import ConfigurationError
from streams.monitors.rules import Rules, read_rules
from streams.monitors.terms import TermSettings, anchored

Evidence = Literal["coded", "text", "both", "narrative"]
Uncertain = Literal["count", "leave_out"]
DAY_MS = 86_400_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """A source topic of the roster: its partitions are fixed for the life of the monitor's name."""

    topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,200}$")]
    partitions: Annotated[int, Field(ge=1, le=1000)] = 1
    live: bool = Field(False, description="Clock ticks advance its quiet partitions. Never for a backfill.")


class TextSettings(_Frozen):
    """What of a text counts. A sentence is uncertain when its conformal set at `error_rate` holds both labels.

    Uncertain sentences are marked in the assessment record in either case; `vigilia uncertain` lists them for review.
    """

    threshold: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="Pairs of a smaller probability are none.")
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = Field(0.05, description="Of the sets: see inference.conformal.")
    uncertain: Uncertain = Field("count", description="Pairs of an uncertain sentence: with their probability, or not.")
    first_stage: bool = Field(True, description="Spare the model sentences that inference.first_stage calls hopeless.")


class AlarmSettings(_Frozen):
    """Parameters of the levels `early` and `strong`; defaults are those measured on VAERS. See `streams.signals`."""

    pairs: Annotated[int, Field(ge=1)] = Field(66_600, description="K: drug-event pairs that the budget is made for.")
    vocabulary: Literal["closed", "open"] | None = Field(
        None,
        description="Beyond K pairs a closed vocabulary stops the worker; in an open one they need more evidence. "
        "Default: open where text is read.",
    )
    false_alarms_per_year: Annotated[float, Field(gt=0)] = Field(5.0, description="A: kept by strong, else nominal.")
    buckets_per_year: Annotated[float, Field(gt=0)] = Field(238.0, description="b: buckets with cases in a year.")
    burn_in_days: Annotated[int, Field(ge=0)] = 365
    window_days: Annotated[int, Field(ge=1)] = 730
    exclude_own: bool = Field(False, description="Take the product's own cases out of its reference.")
    listed: list[tuple[str, str]] = Field([], description="(drug, event) pairs that the label lists.")
    non_reactions: list[str] = Field([], description="Terms that are no reaction: published, nobody is paged.")


class Monitor(_Frozen):
    """One monitor. Its name is the namespace in Redis, of the assessments topic and of the consumer groups."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    evidence: Evidence = "coded"
    bucket_ms: Annotated[int, Field(ge=1)] = DAY_MS
    disorder_ms: Annotated[int, Field(ge=0)] = DAY_MS
    duplicate_horizon_days: Annotated[int, Field(ge=1)] = 730
    strata_years: tuple[float, ...] = Field((1, 6, 18), description="Lower edges of the age strata after the first.")
    model: str | None = Field(None, description="Classifier as name@sha256 prefix; without it the one that is found.")
    text: TextSettings = TextSettings()
    max_message_bytes: Annotated[int, Field(ge=1)] = 1_000_000
    evidence_limit: Annotated[int, Field(ge=1)] = Field(200, description="Cases listed in one alert.")
    alarms: AlarmSettings = AlarmSettings()
    terms: TermSettings = TermSettings()
    rules: Rules = Field(Rules(), description="In the file: a rules file beside it, or `standard`, the shipped one.")
    replay_of: str | None = Field(None, description="Set by a replay: the monitor whose name its alerts carry.")

    source_prefix: str = Field("", description="Set by a replay: before each source topic's name on the broker.")

    @model_validator(mode="after")
    def _distinct_topics(self) -> Monitor:
        topics = [source.topic for source in self.sources]
        if len(set(topics)) != len(topics):
            raise ValueError("a topic is named twice in sources")
        return self

    @model_validator(mode="after")
    def _past_within_the_window(self) -> Monitor:
        rise = self.rules.rate_rise
        if rise is not None and rise.days * (rise.spans + 1) > self.alarms.window_days:
            raise ValueError("rate_rise of the rules looks back further than alarms.window_days: days * (spans + 1)")
        return self

    @property
    def title(self) -> str:
        """The name that alerts carry: a replay's alerts equal those of the monitor it repeats, byte for byte."""
        return self.replay_of or self.name

    @property
    def assessments_topic(self) -> str:
        """The topic that holds one record for each source offset."""
        return f"{self.name}.assessments"

    @property
    def assessments_partitions(self) -> int:
        """As many as the largest source topic has."""
        return max(source.partitions for source in self.sources)

    @cached_property
    def topics(self) -> tuple[str, ...]:
        """Source topics, sorted: the order of positions (topic, partition, offset)."""
        return tuple(sorted(source.topic for source in self.sources))

    @cached_property
    def roster(self) -> tuple[tuple[str, int], ...]:
        """Every source partition, sorted. A bucket closes when each of them has passed it."""
        return tuple(sorted((source.topic, p) for source in self.sources for p in range(source.partitions)))

    @property
    def reads_text(self) -> bool:
        """Whether a classifier is needed."""
        return self.evidence != "coded"

    @property
    def is_open(self) -> bool:
        """Whether the vocabulary may outgrow `alarms.pairs`: words read in text have no end."""
        if self.alarms.vocabulary is None:
            return self.reads_text
        return self.alarms.vocabulary == "open"

    @cached_property
    def listed(self) -> frozenset[tuple[str, str]]:
        """(drug, event) pairs that the label lists, in lower case: of the settings and of the rules' file."""
        named = frozenset((drug.casefold(), event.casefold()) for drug, event in self.alarms.listed)
        return named | self.rules.listed_pairs

    @cached_property
    def settings_hash(self) -> str:
        """SHA-256 prefix over every setting that can change an alert: all but the names a replay takes."""
        places = {kind: {"__all__": {"path"}} for kind in ("drugs", "events")}
        content = self.model_dump_json(
            exclude={"name": True, "replay_of": True, "source_prefix": True, "terms": places}
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def on_broker(self, topic: str) -> str:
        """The name on the broker of a source topic. Records and alerts carry the monitor's own name for it."""
        return self.source_prefix + topic

    def replayed_as(self, name: str, *, source_prefix: str = "") -> Monitor:
        """The same monitor in another namespace, reading source topics that were loaded for it if there is a prefix."""
        return self.model_copy(update={"name": name, "replay_of": self.title, "source_prefix": source_prefix})


def shipped_monitors() -> list[str]:
    """Names of the monitor files that come with vigilia."""
    folder = resources.files("streams.monitors")
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def load_monitor(source: str | Path, **overrides: object) -> Monitor:
    """Read a monitor from a file, or by the name of a shipped one (`vaers`, `demo`).

    `overrides` replace top-level settings. Raises ConfigurationError that names the file and each wrong field.
    """
    folder: Traversable = resources.files("streams.monitors")
    if str(source) in shipped_monitors():
        text = folder.joinpath(f"{source}.toml").read_text("utf-8")
    else:
        folder = Path(source).parent
        try:
            text = Path(source).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            shipped = ", ".join(shipped_monitors())
            raise ConfigurationError(f"monitor {source}: can't be read ({error}); shipped ones: {shipped}") from None
    try:
        content = {**tomllib.loads(text), **overrides}
        if isinstance(rules := content.get("rules"), str):
            ours = resources.files("streams.monitors").joinpath("rule_files", f"{rules}.toml")
            content["rules"] = read_rules(ours if ours.is_file() else folder.joinpath(rules))
        if isinstance(folder, Path):
            content["terms"] = anchored(content.get("terms", {}), folder)
        return Monitor.model_validate(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"monitor {source}: not TOML: {error}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"monitor {source}: {wrong}") from None
