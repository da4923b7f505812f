"""The rules file: which rules stand beside the signal, and how they are set. One TOML file beside the monitor's.

A table switches a rule on; `on = false` keeps its settings and switches it off. The table's name is the `kind` of the
rule's alerts. The whole file, with the content of the files it names, is hashed into every alert.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tomllib
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streams.errors import ConfigurationError

__all__ = [
    "CaseRule",
    "Designated",
    "Disproportion",
    "Listed",
    "NewPair",
    "Paediatric",
    "RateRise",
    "Rules",
    "read_listed",
    "read_rules",
]

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Rule(_Frozen):
    on: bool = True


class CaseRule(_Rule):
    """A rule that one case meets by itself: provisional as soon as the case is counted, raised at the close."""

    drugs: Names | None = Field(None, description="Only these drugs; all without it.")


class Designated(CaseRule):
    """Designated medical events: terms so grave that one serious case is enough."""

    terms: Names = Field(description="Preferred terms, compared without regard to case.")
    unknown_is_serious: bool = Field(True, description="A case that doesn't say whether it is serious counts as such.")
    probability: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="Of an event read in text, at least.")


class Paediatric(CaseRule):
    """Cases below an age."""

    under_years: Annotated[int, Field(ge=1, le=90)] = 18
    serious: bool = Field(True, description="Only serious ones.")


class NewPair(_Rule):
    """A pair that nobody had reported: its first cases, all within some days."""

    cases: Count = 3
    within_days: Count = 182


class RateRise(_Rule):
    """More reports of a drug, all events together, than its own past and the growth of the whole lead to expect."""

    days: Count = Field(28, description="Length of the recent span and of each span of the past.")
    spans: Annotated[int, Field(ge=6)] = Field(12, description="Spans of the past it is compared with.")
    cases: Count = Field(10, description="At least so many in the recent span.")
    z: Positive = Field(3.09, description="Quantile of the upper bound: 3.09 is 0.1% one-sided.")


class Disproportion(_Rule):
    """A classical measure over the reference window at or above a threshold, with at least some cases."""

    threshold: float
    cases: Count = 3
    growth: Annotated[float, Field(gt=1)] = Field(2.0, description="Updated when its cases have grown by this factor.")


class Evans(Disproportion):
    """PRR at least the threshold, chi-squared at least `chi2`."""

    threshold: float = 2.0
    chi2: float = 4.0


class Eb05(Disproportion):
    """EBGM's 5% quantile."""

    threshold: float = 2.0


class Ic025(Disproportion):
    """The information component's 2.5% quantile; above, not at, the threshold."""

    threshold: float = 0.0


class Ror(Disproportion):
    """Lower bound of the reporting odds ratio's 95% interval."""

    threshold: float = 1.0


class _Growing(_Rule):
    growth: Annotated[float, Field(gt=1)] = Field(2.0, description="Updated when its cases have grown by this factor.")


class LotCluster(_Growing):
    """More cases of an event with one lot, or one manufacturer, of a drug than with its others."""

    cases: Count = 3
    p: Annotated[float, Field(gt=0, lt=1)] = Field(1e-4, description="Fisher's one-sided p within the drug's cases.")
    ratio: Positive = Field(2.0, description="Observed over expected, at least.")


class Interaction(_Growing):
    """More cases of an event with two drugs together than their risks add up to."""

    cases: Count = 3
    measure: Literal["omega", "chi"] = Field(
        "omega", description="Lower bound of Omega above 0, or Gosho's chi above 2."
    )


class Masking(Evans):
    """A pair that meets Evans' rule once the reports of the event's dominant drug are left out, and not before."""

    ratio: Annotated[float, Field(ge=1)] = Field(1.2, description="Masking ratio of the dominant drug, at least.")


class Onset(_Rule):
    """A time to onset that is not constant: the interval of the Weibull shape leaves out 1."""

    cases: Count = Field(20, description="Cases with both dates; looked at anew each time they have doubled.")
    patterns: Annotated[tuple[Literal["early", "late"], ...], Field(min_length=1)] = ("early", "late")


class Listed(_Frozen):
    """Pairs that a label lists, as a file held them. Only the content counts, not the file's name."""

    sha256: str
    pairs: Annotated[frozenset[tuple[str, str]], Field(exclude=True)]


class Rules(_Frozen):
    """The rules of a monitor. `version` is the operator's own, beside the hash of what it stands for."""

    version: Annotated[int, Field(ge=1)] = 1
    listed: Listed | None = Field(None, description="CSV or TSV file of the labelled pairs, with columns drug, event.")
    designated_event: Designated | None = None
    fatal: CaseRule | None = None
    paediatric: Paediatric | None = None
    new_pair: NewPair | None = None
    rate_rise: RateRise | None = None
    evans: Evans | None = None
    eb05: Eb05 | None = None
    ic025: Ic025 | None = None
    ror: Ror | None = None
    lot_cluster: LotCluster | None = None
    interaction: Interaction | None = None
    masking: Masking | None = None
    onset: Onset | None = None

    @cached_property
    def any_on(self) -> bool:
        """Whether any rule is on."""
        return any(isinstance(rule, _Rule) and rule.on for _, rule in self)

    @cached_property
    def label(self) -> str:
        """`<version>@<hash>` as alerts carry it: SHA-256 prefix over every setting and the files' content."""
        return f"{self.version}@{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]}"

    @property
    def listed_pairs(self) -> frozenset[tuple[str, str]]:
        """The labelled pairs, in lower case."""
        return frozenset() if self.listed is None else self.listed.pairs


def read_rules(path: Path | Traversable) -> Rules:
    """Rules from a file. Raises ConfigurationError that names the file and each wrong field."""
    content = _tables(path)
    listed = content.get("listed")
    if listed is not None:
        if not isinstance(listed, str):
            raise ConfigurationError(f"rules {path}: listed: the name of a CSV or TSV file is wanted")
        content["listed"] = read_listed(Path(str(path)).parent / listed)
    try:
        return Rules.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"rules {path}: {wrong}") from None


def _tables(path: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"rules {path}: can't be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"rules {path}: not TOML: {error}") from None


def read_listed(path: Path) -> Listed:
    """The labelled pairs of a CSV or TSV file (by its suffix) with a header that names `drug` and `event`.

    Raises ConfigurationError that names the file and the line.
    """
    try:
        content = path.read_bytes()
        lines = csv.reader(
            io.StringIO(content.decode("utf-8-sig"), newline=""),
            delimiter="\t" if path.suffix.lower() == ".tsv" else ",",
            strict=True,
        )
        header = [name.strip().casefold() for name in next(lines, [])]
        if not {"drug", "event"} <= set(header):
            raise ConfigurationError(f"listed pairs {path}: the first line must name the columns drug and event")
        columns, pairs = (header.index("drug"), header.index("event")), set()
        for row in lines:
            if not any(row):
                continue
            drug, event = (row[column].strip().casefold() if column < len(row) else "" for column in columns)
            if not (drug and event):
                raise ConfigurationError(f"listed pairs {path}, line {lines.line_num}: drug or event is missing")
            pairs.add((drug, event))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"listed pairs {path}: can't be read ({error})") from None
    return Listed(sha256=hashlib.sha256(content).hexdigest(), pairs=frozenset(pairs))
