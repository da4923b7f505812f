"""The producer: idempotent, with the delivery of every record reported. For one event loop.

A group of records is handed over at once and has one future: done when all of them are delivered, failed when any is
not. What has failed is never sent again from here: the owner rewinds to its last commit (a record sent again behind
later ones would break the chain).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.errors import BrokerUnavailable, TransportError
from streams.transport.failures import FATAL, LOGGER, describe, transport_error

__all__ = ["Sink"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.002
ROOM = 20_000  # records in librdkafka's queue above which senders wait; its own limit is 100,000


class _Delivery:
    """Counts the reports of one group. Called by librdkafka, on the event loop's thread, inside `Sink._poll`."""

    __slots__ = ("error", "future", "left")

    def __init__(self, left: int, future: asyncio.Future[None]) -> None:
        self.left = left
        self.future = future
        self.error: KafkaError | None = None

    def report(self, error: KafkaError | None, _message: Message) -> None:
        self.left -= 1
        if error is not None and self.error is None:
            self.error = error
        if self.left == 0 and not self.future.done():
            if self.error is None:
                self.future.set_result(None)
            else:
                self.future.set_exception(transport_error(self.error, "delivery failed"))

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Sink:
    """A producer for one event loop.

    `config` holds librdkafka's connection properties. A record is given up after `delivery_seconds`; `make_producer`
    is the seam for tests of failed deliveries.
    """

    def __init__(
        self,
        config: Mapping[str, str],
        *,
        linger_ms: int = 2,
        delivery_seconds: float = 30.0,
        make_producer: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        self._config: dict[str, Any] = {
            **config,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": linger_ms,
            "delivery.timeout.ms": int(delivery_seconds * 1000),
            "queue.buffering.max.messages": 100_000,
            "compression.type": "lz4",
            "logger": LOGGER,
            "error_cb": self._on_error,
        }
        self._make_producer = make_producer
        self._producer = make_producer(self._config)
        self._deliveries: set[_Delivery] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fatal = False

    async def room(self) -> None:
        """Wait while the queue is full. To be awaited before `send`, as often as convenient."""
        while len(self._producer) > ROOM:
            self._poll()
            await asyncio.sleep(POLL_SECONDS)

    def send(
        self, topic: str, records: Sequence[tuple[bytes | None, bytes | None]], partition: int = -1
    ) -> asyncio.Future[None]:
        """Hand over (key, value) records, in order. Returns a future: done when all are delivered.

        The future raises TransportError (BrokerUnavailable is retriable: the owner rewinds and tries again). Partition
        -1 lets the key decide.
        """
        if self._fatal:
            self._renew()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not records:
            future.set_result(None)
            return future
        delivery = _Delivery(len(records), future)
        self._deliveries.add(delivery)
        future.add_done_callback(lambda _: self._decided(delivery))
        self._produce(topic, records, partition, delivery)
        self._poll()
        return future

    def _produce(
        self, topic: str, records: Iterable[tuple[bytes | None, bytes | None]], partition: int, delivery: _Delivery
    ) -> None:
        produce, report = self._producer.produce, delivery.report
        try:
            for key, value in records:
                produce(topic, value, key, partition, report)
        except BufferError:
            delivery.fail(BrokerUnavailable("delivery failed: librdkafka's queue is full"))
        except KafkaException as error:
            self._fatal = self._fatal or error.args[0].code() == FATAL
            delivery.fail(transport_error(error, f"delivery to {topic} failed"))

    def _decided(self, delivery: _Delivery) -> None:
        self._deliveries.discard(delivery)
        delivery.future.exception()  # an owner that lost the partition meanwhile does not ask

    def _on_error(self, error: KafkaError) -> None:
        log.warning("producer_error", error=describe(error))
        self._fatal = self._fatal or error.fatal()

    def _renew(self) -> None:
        """Replace a producer that reported a fatal error: it will never send again."""
        log.warning("producer_renewed")
        self._fatal = False
        self._fail_all(BrokerUnavailable("delivery failed: the producer had to be renewed"))
        self._producer = self._make_producer(self._config)

    def _fail_all(self, error: TransportError) -> None:
        for delivery in self._deliveries:
            delivery.fail(error)

    def _poll(self) -> None:
        """Take delivery reports; come back while any are outstanding."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._producer.poll(0)
        if self._deliveries:
            self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._poll)

    @property
    def outstanding(self) -> int:
        """Groups whose delivery is not decided."""
        return len(self._deliveries)

    async def close(self, seconds: float = 10.0) -> None:
        """Wait for what is outstanding, at most `seconds`; what is left then fails."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._deliveries and loop.time() < deadline:
            self._poll()
            await asyncio.sleep(POLL_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fail_all(TransportError("delivery failed: the producer was closed"))
        self._producer.purge()
        self._producer.poll(0)
