"""Where the logs of topics begin and end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.transport.batch import Partition
from streams.transport.failures import LOGGER, transport_error

__all__ = ["Extent", "extents", "offsets_at"]

SECONDS = 15.0


class Extent(NamedTuple):
    """A partition's log: the offset of the oldest record kept and the one that the next record gets."""

    low: int
    high: int


def extents(
    config: Mapping[str, str], partitions: Iterable[Partition], seconds: float = SECONDS
) -> dict[Partition, Extent]:
    """Begin and end of each partition's log. Blocks. Raises TopicMissing, BrokerUnavailable, NotAuthorised.

    The end is that of committed transactions: what a reader will get to without waiting for more to be written.
    """
    consumer = _asking(config)
    try:
        return {
            source: Extent(*consumer.get_watermark_offsets(TopicPartition(*source), seconds, cached=False))
            for source in partitions
        }
    except KafkaException as error:
        raise transport_error(error, "asking for the ends of logs") from None
    finally:
        consumer.close()


def offsets_at(
    config: Mapping[str, str], partitions: Iterable[Partition], timestamp_ms: int, seconds: float = SECONDS
) -> dict[Partition, int | None]:
    """The first offset stamped at or after `timestamp_ms`, None where there is none. Raises as `extents` does."""
    consumer = _asking(config)
    try:
        asked = [TopicPartition(*source, timestamp_ms) for source in partitions]
        found = consumer.offsets_for_times(asked, seconds)
    except KafkaException as error:
        raise transport_error(error, "asking for offsets at a time") from None
    finally:
        consumer.close()
    return {(f.topic, f.partition): f.offset if f.offset >= 0 else None for f in found}


def _asking(config: Mapping[str, str]) -> Consumer:
    """A consumer that joins no group and reads nothing."""
    return Consumer({**config, "group.id": "vigilia-asking", "enable.auto.commit": False, "logger": LOGGER})
