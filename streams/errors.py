"""The one exception tree. Whether to retry, to pause or to dead-letter follows from the class alone.

```
VigiliaError
├── ConfigurationError        the operator must change something; exit status 2
│   ├── SettingsChanged       a monitor name is reused with other settings
│   └── TooManyPairs          more drug-event pairs are watched than the false-alarm budget was set for
├── InputError                this message can't be used; it becomes a dead letter
│   ├── Unreadable            not JSON, not UTF-8, empty, truncated, nested too deep
│   ├── SchemaMismatch        readable, but a field is missing, of the wrong type or out of range
│   ├── FutureTimestamp       received more than 24 h after the record's own timestamp
│   ├── TooLarge              more bytes than the monitor accepts
│   └── UnknownFormat         no intake reads this format or message type
├── ClassifierError
│   ├── Unavailable *         the model server can't be reached
│   │   └── NotServed *       it answers, and has no such model ready at present
│   ├── Overloaded *          it refused for lack of room
│   ├── DeadlineExceeded *    it took longer than the caller waits
│   ├── PoisonInput           this input makes the model fail whenever it is sent; a dead letter
│   └── WrongModel            the model found is not the model named in the monitor; exit status 2
├── TransportError
│   ├── BrokerUnavailable *   Kafka can't be reached
│   ├── NotAuthorised         Kafka refuses the credentials or the access
│   ├── TopicMissing          a topic is missing or is set up otherwise than required
│   └── Fenced                another worker owns the partition now
└── StateError
    ├── StoreUnavailable *    Redis can't be reached or is loading
    ├── StateDirty            a script stopped half-way: the state is wiped and rebuilt from the log
    ├── StateConflict         the state contradicts the log: both values are in the message
    └── SchemaTooNew          the state was written by a newer vigilia
```
`*` = retriable: the same call may succeed later. The reason code of a class is what dead letters and metrics carry.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BrokerUnavailable",
    "ClassifierError",
    "ConfigurationError",
    "DeadlineExceeded",
    "Fenced",
    "FutureTimestamp",
    "InputError",
    "NotAuthorised",
    "NotServed",
    "Overloaded",
    "PoisonInput",
    "SchemaMismatch",
    "SchemaTooNew",
    "SettingsChanged",
    "StateConflict",
    "StateDirty",
    "StateError",
    "StoreUnavailable",
    "TooLarge",
    "TooManyPairs",
    "TopicMissing",
    "TransportError",
    "Unavailable",
    "UnknownFormat",
    "Unreadable",
    "VigiliaError",
    "WrongModel",
]


class VigiliaError(Exception):
    """Every error that vigilia raises on purpose."""

    retriable: ClassVar[bool] = False
    reason: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1


class ConfigurationError(VigiliaError):
    """The operator must change something; the message says what."""

    reason = "configuration"
    exit_status = 2


class SettingsChanged(ConfigurationError):
    """A monitor name is used with settings other than those its state was built with."""

    reason = "settings_changed"


class TooManyPairs(ConfigurationError):
    """More drug-event pairs are watched than the monitor's K: its false-alarm budget would no longer hold."""

    reason = "too_many_pairs"


class InputError(VigiliaError):
    """This message can't be used. It becomes a dead letter; its text must never quote patient text."""

    reason = "input"


class Unreadable(InputError):
    """The bytes are not a document of the format: empty, truncated, wrong encoding, nested too deep."""

    reason = "unreadable"


class SchemaMismatch(InputError):
    """A readable document whose fields don't fit the schema; the message names the path, not the value."""

    reason = "schema_mismatch"


class FutureTimestamp(InputError):
    """Received more than 24 hours after the record's own timestamp: one bad clock must not close every bucket."""

    reason = "future_timestamp"


class TooLarge(InputError):
    """More bytes than the monitor accepts in one message."""

    reason = "too_large"


class UnknownFormat(InputError):
    """No intake reads this format or message type."""

    reason = "unknown_format"


class ClassifierError(VigiliaError):
    """The classifier gave no answer."""

    reason = "classifier"


class Unavailable(ClassifierError):
    """The model server can't be reached."""

    retriable = True
    reason = "classifier_unavailable"


class NotServed(Unavailable):
    """The model server answers, and has no such model or version ready at present."""

    reason = "classifier_not_served"


class Overloaded(ClassifierError):
    """The model server refused for lack of room."""

    retriable = True
    reason = "classifier_overloaded"


class DeadlineExceeded(ClassifierError):
    """The model server took longer than the caller waits."""

    retriable = True
    reason = "classifier_deadline"


class PoisonInput(ClassifierError):
    """This input makes the model fail whenever it is sent. It becomes a dead letter."""

    reason = "poison_input"


class WrongModel(ClassifierError):
    """The model found is not the one that the monitor names."""

    reason = "wrong_model"
    exit_status = 2


class TransportError(VigiliaError):
    """Kafka did not do what was asked."""

    reason = "transport"


class BrokerUnavailable(TransportError):
    """Kafka can't be reached."""

    retriable = True
    reason = "broker_unavailable"


class NotAuthorised(TransportError):
    """Kafka refuses the credentials, or the access to a topic or group."""

    reason = "not_authorised"
    exit_status = 2


class TopicMissing(TransportError):
    """A topic is missing, or its partitions, compaction or retention are not as required."""

    reason = "topic_missing"
    exit_status = 2


class Fenced(TransportError):
    """Another worker owns the partition now; what this one still holds is void."""

    reason = "fenced"


class StateError(VigiliaError):
    """Redis did not do what was asked, or holds what can't be."""

    reason = "state"


class StoreUnavailable(StateError):
    """Redis can't be reached or is still loading."""

    retriable = True
    reason = "store_unavailable"


class StateDirty(StateError):
    """A script stopped half-way: the state is wiped and rebuilt from the log."""

    reason = "state_dirty"


class StateConflict(StateError):
    """The state contradicts the log; the message holds both values. Never repaired in silence."""

    reason = "state_conflict"


class SchemaTooNew(StateError):
    """The state was written by a newer vigilia."""

    reason = "schema_too_new"
    exit_status = 2
