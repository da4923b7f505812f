"""Kafka: topics, the batch source, the sink, and a broker for trying things out.

`config` arguments are librdkafka's connection properties: `Settings.kafka()`.
"""

from streams.transport.batch import Batch, Partition
from streams.transport.failures import transport_error
from streams.transport.offsets import Extent, extents, offsets_at
from streams.transport.sink import Sink
from streams.transport.source import BatchSource
from streams.transport.topics import Topic, check_clock, control_topic, ensure_topics, remove_topics, required_topics

__all__ = [
    "Batch",
    "BatchSource",
    "Extent",
    "Partition",
    "Sink",
    "Topic",
    "check_clock",
    "control_topic",
    "ensure_topics",
    "extents",
    "offsets_at",
    "remove_topics",
    "required_topics",
    "transport_error",
]
