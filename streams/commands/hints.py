"""What to do about an error, by its class: what the command line and the doctor tell an operator."""

from __future__ import annotations

from streams.errors import (
    BrokerUnavailable,
    ConfigurationError,
    NotAuthorised,
    SettingsChanged,
    StateConflict,
    StateDirty,
    StoreUnavailable,
    TopicMissing,
    Unavailable,
    VigiliaError,
    WrongModel,
)

__all__ = ["HINTS", "hint"]

HINTS: dict[type[VigiliaError], str] = {
    SettingsChanged: "give the monitor a new name, or go back to the settings its state was built with",
    ConfigurationError: "change what the message names and run the command again",
    WrongModel: "point VIGILIA_MODEL_FOLDER at the model that the monitor names, or name this one in the monitor",
    BrokerUnavailable: "check that Kafka runs and VIGILIA_BOOTSTRAP_SERVERS names it; `vigilia doctor` tells more",
    NotAuthorised: "check VIGILIA_SASL_USERNAME, VIGILIA_SASL_PASSWORD and the ACLs; `vigilia doctor` tells more",
    TopicMissing: "create the topic as described, or let vigilia do it (VIGILIA_CREATE_TOPICS=true vigilia run)",
    StoreUnavailable: "check that Redis runs and VIGILIA_REDIS_URL names it; `vigilia doctor` tells more",
    Unavailable: "check that Triton runs and VIGILIA_TRITON_URLS names it; `vigilia doctor` tells more",
    StateDirty: "start `vigilia run`: it wipes the state and rebuilds it from the log",
    StateConflict: "run `vigilia audit`; if it finds differences, empty the monitor's keys and start `vigilia run`",
}


def hint(error: VigiliaError) -> str:
    """What to do about an error, by its class; empty where its message says it all."""
    return next((HINTS[kind] for kind in type(error).__mro__ if kind in HINTS), "")
