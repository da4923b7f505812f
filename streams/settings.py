"""Where the services are and how the worker uses the machine: one frozen object, read from the environment at the edge.

Nothing here decides an alert; what does is in a monitor file (`streams.monitors`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.errors import ConfigurationError

__all__ = ["Settings", "load_settings"]


class Settings(BaseSettings):
    """Settings of one process. Every field is the environment variable `VIGILIA_<FIELD>`; unknown ones are refused."""

    model_config = SettingsConfigDict(env_prefix="VIGILIA_", frozen=True, extra="forbid")

    bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, comma separated.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: Path | None = Field(None, description="PEM file of the CA that signed the brokers' certificates.")

    redis_url: SecretStr | None = Field(
        None, description="redis://, rediss:// or unix://. `replay` and `demo` bring one of their own."
    )
    fingerprint_key: SecretStr = Field(
        SecretStr("vigilia"), description="Key of the hashes that duplicate detection puts on the assessments topic."
    )

    alerts_topic: str = Field("alerts", description="Compacted topic of the alerts.")
    cutover_topic: str = Field("cutovers", description="Forks and promotions of monitors, in order and kept for ever.")
    reviews_topic: str = Field("reviews", description="Compacted topic of what people say of alerts.")
    reviewer: str | None = Field(None, description="Who `vigilia review` says it was; without it the system's user.")
    dismissed_growth: float = Field(
        2.0, ge=1, description="A refuted or closed alert is quiet until its cases have grown by this factor."
    )
    replication_factor: int = Field(1, ge=1, description="For topics that vigilia creates.")
    create_topics: bool = Field(True, description="Create missing topics at start; if not, a missing one is an error.")

    model_folder: Path | None = Field(None, description="Folder of the classifier; without it the shipped one.")
    triton_urls: str | None = Field(
        None,
        description="Triton servers that run the classifier: [grpc://|grpcs://]host:port, comma separated. Without it "
        "the classifier runs in process.",
    )
    triton_model: str = Field("adverse_event", min_length=1, description="Name of the model on the Triton servers.")
    triton_deadline_seconds: float = Field(10.0, gt=0, description="How long one call of a Triton server may take.")
    triton_ca_location: Path | None = Field(None, description="PEM file of the CA of the Triton servers (grpcs://).")
    triton_certificate_location: Path | None = Field(None, description="PEM file of our certificate for Triton.")
    triton_key_location: Path | None = Field(None, description="PEM file of our certificate's key.")
    model_repository: Path | None = Field(None, description="Folder the Triton servers read, for `vigilia model`.")
    classifier_threads: int = Field(1, ge=1, description="Runs of the model side by side, each on one core.")
    classifier_queue: int = Field(2048, ge=1, description="Sentences waiting for the classifier before intake pauses.")
    sentence_cache: int = Field(
        16_384, ge=0, description="Sentences whose reading is remembered, in memory alone; some 1 KiB each. 0: none."
    )

    batch_messages: int = Field(1000, ge=1, le=10_000, description="Messages taken from Kafka and applied at a time.")
    queue_batches: int = Field(8, ge=1, description="Batches between consumer and stage before partitions are paused.")
    provisional_interval_ms: int = Field(100, ge=10, description="How often open buckets are looked at for alerts.")
    tick_interval_ms: int = Field(5000, ge=100, description="How often a quiet live partition gets a clock tick.")
    session_timeout_ms: int = Field(
        10_000, ge=1000, description="How long a worker may be silent before its partitions go to others."
    )
    shutdown_seconds: float = Field(20, gt=0, description="How long a stopping worker waits for work in hand.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def kafka(self) -> dict[str, str]:
        """Connection properties in librdkafka's names. Holds the password in plain text: never log it."""
        properties = {
            "bootstrap.servers": self.bootstrap_servers,
            "log_level": "4",  # warnings and worse
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password.get_secret_value() if self.sasl_password else None,
            "ssl.ca.location": str(self.ssl_ca_location) if self.ssl_ca_location else None,
        }
        return {name: value for name, value in properties.items() if value is not None}


def load_settings(**overrides: object) -> Settings:
    """Read the environment; `overrides` win over it. Raises ConfigurationError naming each wrong variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = "; ".join(f"VIGILIA_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(f"settings: {wrong}") from None
