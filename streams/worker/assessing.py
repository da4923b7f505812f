"""The assess stage in a worker: its classifier, its source, its settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import structlog

from inference.batching import AHEAD, PIECES, SERVER_LINGER, SERVER_PIECES, Adaptive, Fixed, MicroBatcher
from inference.cache import SentenceCache
from inference.classifier import Classifier, Remote
from inference.first_stage import FirstStage
from streams.assess.assessor import Assessor
from streams.assess.stage import AssessStage
from streams.errors import ClassifierError, ConfigurationError, Unavailable, WrongModel
from streams.monitors import Monitor
from streams.settings import Settings
from streams.terms.translate import load_terms
from streams.transport import BatchSource, Partition, Sink, extents

__all__ = ["Assessing", "source_ends"]

log = structlog.get_logger(__name__)


def source_ends(monitor: Monitor, settings: Settings) -> dict[Partition, int]:
    """The present end of every source partition, for a bounded run. Taken once and passed to all its workers. Blocks.

    Keys are as on the broker, which is what `Assessing(until=...)` takes. Raises TransportError.
    """
    partitions = [(monitor.on_broker(topic), partition) for topic, partition in monitor.roster]
    return {source: extent.high for source, extent in extents(settings.kafka(), partitions).items()}


class Assessing:
    """One worker's assess stage: `run()` until `stop()` or, with `until`, until all is assessed up to those offsets.

    The classifier stays the caller's. A monitor that reads no text needs none. `first_stage` is used if the monitor
    wants one (`text.first_stage`). While no server of a remote classifier can be used, the source's partitions are
    paused: nothing is taken that could not be read, and this worker stays a member of its group.
    """

    def __init__(
        self,
        monitor: Monitor,
        settings: Settings,
        sink: Sink,
        *,
        classifier: Classifier | None = None,
        first_stage: FirstStage | None = None,
        until: Mapping[Partition, int] | None = None,
        end_ticks: bool = True,
    ) -> None:
        if monitor.reads_text and classifier is None:
            raise ConfigurationError(f"monitor {monitor.name} reads text and needs a classifier")
        if classifier is not None and monitor.model is not None and not classifier.model.startswith(monitor.model):
            raise WrongModel(f"monitor {monitor.name} names {monitor.model}, the classifier is {classifier.model}")
        reads = classifier is not None and monitor.reads_text
        self._settings = settings
        self._source: BatchSource | None = None
        self._batcher = self._open_batcher(monitor, classifier, first_stage) if classifier and reads else None
        self._stage = AssessStage(
            monitor,
            Assessor(monitor, settings.fingerprint_key.get_secret_value().encode(), load_terms(monitor)),
            sink,
            reader=self._batcher,
            model=classifier.model if classifier else None,
            until=until,
            end_ticks=end_ticks,
            tick_seconds=settings.tick_interval_ms / 1000,
            settle_seconds=settings.shutdown_seconds,
        )

    def _open_batcher(self, monitor: Monitor, classifier: Classifier, first_stage: FirstStage | None) -> MicroBatcher:
        queue, cache = self._settings.classifier_queue, self._settings.sentence_cache
        remote = isinstance(classifier, Remote)
        return MicroBatcher(
            classifier,
            SERVER_PIECES if remote else PIECES,
            max(1, queue // len(monitor.topics)),  # a topic
            Adaptive() if remote else Fixed(self._settings.classifier_threads + AHEAD),
            linger=SERVER_LINGER if remote else 0.0,
            cache=SentenceCache(cache) if cache else None,
            first_stage=first_stage if monitor.text.first_stage else None,
            on_held=self._on_held,
        )

    @property
    def outcomes(self) -> Counter[str]:
        """What became of the messages so far: assessed, dead_letter:<reason>, gap, tick, rewound."""
        return self._stage.outcomes

    async def run(self) -> None:
        """See `Stage`."""
        self._source = source = self._stage.connect(
            self._settings.kafka(),
            batch_messages=self._settings.batch_messages,
            queue_batches=self._settings.queue_batches,
            session_ms=self._settings.session_timeout_ms,
        )
        if self._batcher is None:
            await self._stage.run(source)
        else:
            async with self._batcher:
                await self._stage.run(source)

    def _on_held(self, error: ClassifierError | None) -> None:
        """Pause while nobody answers. An overloaded server does answer: then the full queue slows intake down."""
        if self._source is None:
            return
        if isinstance(error, Unavailable):
            log.warning("intake_paused", reason=error.reason, error=str(error))
            self._source.pause()
        elif self._source.paused:
            log.info("intake_resumed")
            self._source.resume()

    def stop(self) -> None:
        """See `Stage`."""
        self._stage.stop()

    def status(self) -> dict[str, object]:
        """See `Stage`."""
        found: dict[str, object] = {"stage": "assess", **self._stage.status()}
        if self._batcher is not None:
            cache = self._batcher.cache
            found |= {
                "sentences_read": self._batcher.sentences,
                "sentences_spared": self._batcher.spared,
                "sentences_remembered": cache.hits if cache is not None else 0,
                "classifier": self._batcher.shown(),
            }
            if isinstance(self._batcher.classifier, Remote):
                found["servers"] = self._batcher.classifier.servers()
        return found
