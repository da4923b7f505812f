"""What the demo runs on: the embedded broker and Redis, the topics of its monitor, the generated year loaded."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from streams.demo.generator import generate_year
from streams.demo.story import Story
from streams.errors import TransportError
from streams.intake.loader import load
from streams.monitors import Monitor, load_monitor
from streams.settings import Settings
from streams.state.server import RedisServer
from streams.transport.embedded import EmbeddedBroker
from streams.transport.topics import required_topics
from streams.worker.bounded import Progress, run_bounded

__all__ = ["DemoSession", "demo_session"]

MOST_THREADS = 4  # of the classifier; its batches are small


@dataclass(frozen=True)
class DemoSession:
    """A loaded year, ready to be run once. `settings` lead to the embedded services."""

    monitor: Monitor
    settings: Settings
    story: Story

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> Progress:
        """Run the worker to the end of the year."""
        return run_bounded(self.monitor, self.settings, on_progress=on_progress)


@contextmanager
def demo_session(settings: Settings, seed: int) -> Iterator[DemoSession]:
    """Start the services, load the year of `seed`, and stop them at the end. Raises VigiliaError."""
    year = generate_year(seed)
    monitor = load_monitor("demo")
    topics = {topic.name: topic.partitions for topic in required_topics(monitor, settings)}
    with RedisServer() as redis, EmbeddedBroker(topics) as broker:
        embedded = settings.model_copy(
            update={
                "bootstrap_servers": broker.bootstrap_servers,
                "security_protocol": "PLAINTEXT",
                "redis_url": SecretStr(redis.url),
                "fingerprint_key": SecretStr(secrets.token_hex(16)),
                "create_topics": False,
                "log_level": "error",
                "classifier_threads": min(MOST_THREADS, os.cpu_count() or 1),
            }
        )
        summary = load(year.messages, None, embedded)
        if not summary.complete:
            raise TransportError(f"{summary.sent - summary.delivered} of {summary.sent} messages were not delivered")
        yield DemoSession(monitor, embedded, year.story)
