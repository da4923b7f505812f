"""What travels on the topics, with schema versions.

Input topics carry `AdverseEvent` and `ClinicalNote` (canonical JSON). `<monitor>.assessments` carries one
`AssessmentRecord` for every source offset. `alerts` carries `Alert`.

Structs of the hot path are `gc=False`: nothing in them can form a cycle, and the collector would walk each of them.

Rules of change: a new field needs a default, a field's type never changes, readers of messages from outside tolerate
unknown fields. Times are integer milliseconds since 1970-01-01 UTC; counts and probabilities are integers of 10^-6.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION = 3  # 2: assessments mark uncertain sentences; 3: facts of a case, alerts of rules beside the signal
MICRO = 1_000_000
END_OF_TIME = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z: the received_at of an end tick, "+infinity"

Identifier = Annotated[str, Meta(min_length=1, max_length=200)]
Term = Annotated[str, Meta(min_length=1, max_length=300)]
Role = Literal["suspect", "concomitant", "interacting"]
Sex = Literal["F", "M", "U"]
Seriousness = Literal["death", "life_threatening", "hospitalisation", "disability", "congenital_anomaly", "other"]
Outcome = Literal["recovered", "recovering", "not_recovered", "sequelae", "fatal", "unknown"]

# ---------------------------------------------------------------- input topics


class Product(Struct, frozen=True, gc=False):
    """A drug or vaccine named in a report, with the role the reporter gave it, its lot and who made it."""

    name: Term
    role: Role = "suspect"
    lot: Annotated[str, Meta(max_length=100)] | None = None
    manufacturer: Annotated[str, Meta(max_length=300)] | None = None


class Patient(Struct, frozen=True, gc=False):
    """What stratification and deduplication need of a patient. Nothing here names anyone."""

    age_years: Annotated[float, Meta(ge=0, le=150)] | None = None
    sex: Sex = "U"
    region: Annotated[str, Meta(max_length=100)] | None = None


class AdverseEvent(Struct, frozen=True, gc=False, tag_field="type", tag="adverse_event"):
    """One version of one case (an ICSR): products, coded event terms, and a narrative if there is one.

    `received_at` is when the reporting system received the report: milliseconds UTC or RFC 3339 with an offset. Without
    it the Kafka timestamp of the record counts. `seriousness` names the criteria met (E2B E.i.3.2), `outcome` is the
    worst of the case's events (E2B E.i.7); `serious` alone says that there are some, or none.
    """

    case_id: Identifier
    products: Annotated[list[Product], Meta(min_length=1, max_length=500)]
    events: Annotated[list[Term], Meta(max_length=1000)] = []
    version: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    received_at: int | datetime | None = None
    patient: Patient = Patient()
    exposure_date: date | None = None
    onset_date: date | None = None
    serious: bool | None = None
    narrative: str | None = None
    seriousness: Annotated[list[Seriousness], Meta(max_length=6)] = []
    outcome: Outcome | None = None


class ClinicalNote(Struct, frozen=True, gc=False, tag_field="type", tag="clinical_note"):
    """One version of a clinical note. Its text is read by the classifier and goes no further than the input topic."""

    case_id: Identifier
    text: Annotated[str, Meta(min_length=1)]
    version: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    received_at: int | datetime | None = None
    patient: Patient = Patient()


SourceMessage = AdverseEvent | ClinicalNote

# ---------------------------------------------------------------- <monitor>.assessments


class Span(Struct, frozen=True, gc=False, array_like=True):
    """A drug-event pair as read in a text: the words themselves, never the sentence around them."""

    drug: str
    effect: str


class PairScore(Struct, frozen=True, gc=False, array_like=True):
    """One drug-event pair of a case. `drug` and `event` index the assessment's lists; `micro` = round(p * 10^6)."""

    drug: int
    event: int
    micro: int
    span: Span | None = None


class Uncertain(Struct, frozen=True, gc=False, array_like=True):
    """A sentence that the classifier leaves open, at the monitor's error rate: where it is, never what it says.

    Characters `[start, end)` of the message's text; `micro` = round(p * 10^6) of its probability to assert an adverse
    drug event; `counted`: a pair of the record has its score from this sentence.
    """

    start: int
    end: int
    micro: int
    counted: bool = False


class Lot(Struct, frozen=True, gc=False, array_like=True):
    """The lot and the manufacturer of a drug of the case, as reported."""

    drug: str
    lot: str | None = None
    manufacturer: str | None = None


class CaseFacts(Struct, frozen=True, gc=False, array_like=True):
    """What rules beside the signal ask of a case. Positional: fields are only ever added at the end, with a default.

    `serious`: None if the message doesn't say · `fatal`: a criterion or the outcome is death · `age`: completed years,
    90 for older ones · `onset_days`: from exposure to onset, None if either is unknown or onset comes first ·
    `completeness`: percent, after vigiGrade (`streams.assess.facts`) · `narrative`: there is a text · `lots`: sorted.
    """

    serious: bool | None = None
    fatal: bool = False
    age: int | None = None
    onset_days: int | None = None
    completeness: int = 0
    narrative: bool = False
    lots: tuple[Lot, ...] = ()


class Fuzzy(Struct, frozen=True, gc=False, array_like=True):
    """A term that a name was taken for because it looks like one that stands for it; `similarity` in percent.

    `spelled`: a coded name as the message has it, or the words of a text, as plain terms have them.
    """

    term: str
    spelled: str
    similarity: int


class Assessment(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="assessment"):
    """What one source message contributes if it counts.

    Covers the source offsets `[lo, offset]`. `drugs` and `events` are sorted and distinct; `scores[i]` is the score of
    `events[i]` in the case as a whole. `pairs` is None when every drug goes with every event at that score (coded
    reports), else it lists the pairs. `fingerprints` are keyed hashes of the duplicate keys. `uncertain` names the
    sentences that go to review, in order. `facts` is None in records of schema 1 and 2. `fuzzy`: terms among drugs and
    events that were matched by likeness, since no vocabulary has the name (only where the monitor allows that).
    """

    topic: str
    partition: int
    lo: int
    offset: int
    received_at: int
    case_id: str
    version: int
    stratum: int
    drugs: list[str]
    events: list[str]
    scores: list[int]
    pairs: list[PairScore] | None = None
    fingerprints: list[str] = []
    model: str | None = None
    retry_of: str | None = None
    uncertain: list[Uncertain] = []
    facts: CaseFacts | None = None
    fuzzy: list[Fuzzy] = []


class DeadLetter(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind", tag="dead_letter"):
    """A source message that could not be used: where its bytes are and why, never the bytes."""

    topic: str
    partition: int
    lo: int
    offset: int
    reason: str
    detail: str = ""
    timestamp: int = 0
    retry_of: str | None = None


class Gap(Struct, frozen=True, tag_field="kind", tag="gap"):
    """Source offsets `[lo, offset]` that Kafka had deleted before anyone read them."""

    topic: str
    partition: int
    lo: int
    offset: int


class Tick(Struct, frozen=True, tag_field="kind", tag="tick"):
    """Acts as a received_at for a partition that is quiet or at its end. Valid iff `at` is the next source offset."""

    topic: str
    partition: int
    at: int
    received_at: int


AssessmentRecord = Assessment | DeadLetter | Gap | Tick

# ---------------------------------------------------------------- alerts

State = Literal["provisional", "raised", "updated", "withdrawn"]
Status = Literal["new", "update", "listed", "bystander", "non_reaction"]
Level = Literal["early", "strong", "rule"]


class Table(Struct, frozen=True):
    """The 2x2 table of a pair over the reference window, in cases (sums of probabilities for events read in text).

    a: drug and event · b: drug, other events · c: event, other drugs · d: neither · expected: a expected under
    independence within strata.
    """

    a: float
    b: float
    c: float
    d: float
    expected: float


class EvidenceCase(Struct, frozen=True, omit_defaults=True):
    """One case of an alert, and where its message is. `fuzzy`: those of its terms that were matched by likeness."""

    case_id: str
    topic: str
    partition: int
    offset: int
    received_at: int
    version: int = 1
    probability: float = 1.0
    late: bool = False
    span: Span | None = None
    serious: bool | None = None
    fatal: bool = False
    age: int | None = None
    onset_days: int | None = None
    completeness: float | None = None
    narrative: bool = False
    lots: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()


class Versions(Struct, frozen=True):
    """What produced an alert: hashes of the monitor's settings and vocabulary, the model, the rule and this schema.

    `rules`: version and hash of the rules file, None if the monitor has none.
    """

    monitor: str
    rule: str
    vocabulary: str
    model: str | None
    schema: int = SCHEMA_VERSION
    rules: str | None = None


class Alert(Struct, frozen=True):
    """One revision of an alert. Revisions of an id are ordered by `rank(alert)`; readers ignore a lower one.

    `bucket` is the bucket whose close (or, while provisional, whose open content) made this revision; `decided` the one
    up to which cases and table count: an earlier one after a follow-up, which changes no count. `statistic` and
    `threshold` are those of the last alarm, earlier than `decided` where a late case came after it. `raised_at` is the
    ISO 8601 day of the bucket that first raised it. `cases` counts the pair's cases in the reference window.
    `evidence` lists them, newest first, up to the monitor's limit; `evidence_omitted` says how many more there are.
    `measures` are beside the rule: PRR, ROR, IC and EBGM with their intervals. `windows` counts the pair's cases of the
    last day, week, month, half year and the whole reference window, in whole buckets up to `decided`.

    `kind` is `signal`, or the name of a rule beside it, whose `level` is `rule` and whose event may be `*`: any event.
    Only a signal of level `strong` claims the budget: `budget` is its number of false alarms a year, else None.
    `detail` is what a rule's alert is about beside drug and event: a lot, the drug that masks a pair.
    """

    id: str
    monitor: str
    drug: str
    event: str
    kind: str
    level: Level
    state: State
    status: Status
    raised_at: str
    bucket: int
    decided: int
    cases: int
    table: Table
    statistic: float
    threshold: float
    measures: dict[str, float | None]
    evidence: list[EvidenceCase]
    evidence_omitted: int
    versions: Versions
    chain: str | None = None
    windows: dict[str, int] = {}
    budget: float | None = None
    detail: dict[str, str] = {}


def rank(alert: Alert) -> tuple[bool, int, bool]:
    """Order of an alert's revisions: raised or updated before all others, then bucket, then withdrawn.

    A higher rank replaces a lower one, whenever it arrives.
    """
    return (alert.state in ("raised", "updated"), alert.bucket, alert.state == "withdrawn")


decode_record = msgspec.json.Decoder(AssessmentRecord).decode
decode_alert = msgspec.json.Decoder(Alert).decode
encode = msgspec.json.Encoder(order="deterministic").encode
