"""The worker: Faust as the frame round the stages, and the life cycle of the process.

Faust gives the app, its services, a timer and one agent on the control topic; the stages read and write Kafka
themselves (`streams.transport`), because Faust's way of one event at a time costs 220 us a message and acknowledges
what an agent failed on.

Life cycle: the stages run until one fails, until all of them say that they are done (a bounded run), or until the first
SIGINT or SIGTERM. Then nothing more is taken, what was taken is delivered within `settings.shutdown_seconds`, and the
worker ends. A second signal kills it, which is safe: the log is the truth.

Once a minute, and whenever the control topic says `status`, each stage tells the log how far it is.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import faust
import structlog
from mode import Service

from streams.errors import TransportError, VigiliaError
from streams.monitors import Monitor
from streams.settings import Settings
from streams.transport import Sink, control_topic
from streams.transport.groups import remove_groups

__all__ = ["Stage", "Worker", "run_worker"]

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STATUS_SECONDS = 60.0
FRAME_SECONDS = 5.0  # beyond `shutdown_seconds`: for leaving the groups, and as much again for Faust's own end


class Stage(Protocol):
    """What runs in a worker."""

    async def run(self) -> None:
        """Work until stopped or, in a bounded run, done. Raises VigiliaError for what trying again can't mend."""

    def stop(self) -> None:
        """Take no more work; `run` returns soon. May be called at any time and more than once."""

    def status(self) -> dict[str, object]:
        """How far it is, for the log: numbers and names of partitions. Called from the event loop; must not block."""


class _StageService(Service):  # type: ignore[misc]  # mode has no types
    """A stage as a child of the app."""

    def __init__(self, stage: Stage, seconds: float) -> None:
        super().__init__()
        self.stage, self._seconds = stage, seconds
        self.ended = asyncio.Event()
        self.failure: BaseException | None = None

    async def on_started(self) -> None:
        self.add_future(self._run())

    async def _run(self) -> None:
        try:
            await self.stage.run()
        except Exception as error:  # noqa: BLE001 - `Worker.run` raises it
            self.failure = error
        finally:
            self.ended.set()

    async def on_stop(self) -> None:
        self.stage.stop()
        try:
            await asyncio.wait_for(self.ended.wait(), self._seconds)
        except TimeoutError:
            log.warning("stage_left_behind", stage=type(self.stage).__name__, seconds=self._seconds)


class Worker:
    """One worker for one event loop. `sink` is closed when the stages have ended.

    `finished`: every stage ended by itself, as in a bounded run that nobody stopped.
    """

    def __init__(self, monitor: Monitor, settings: Settings, stages: Sequence[Stage], sink: Sink | None = None) -> None:
        self._monitor, self._settings, self._sink = monitor, settings, sink
        self._services = [_StageService(stage, settings.shutdown_seconds + FRAME_SECONDS) for stage in stages]
        self._stopping = asyncio.Event()
        self._crash: BaseException | None = None
        self.finished = False

    def stop(self) -> None:
        """Begin to stop; `run` returns when that is done."""
        self._stopping.set()

    async def run(self, *, signals: bool = True) -> None:
        """Run to the end. `signals`: SIGINT or SIGTERM stops it. Raises the first stage's failure, else Faust's."""
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryDirectory(prefix="vigilia-faust-") as folder:
            app = frame(self._monitor, self._settings, folder, self.stop, self.tell_status)
            if signals:
                for number in SIGNALS:
                    loop.add_signal_handler(number, self._on_signal, number)
            try:
                await app.start()
                for service in self._services:
                    await app.add_runtime_dependency(service)
                log.info("worker_started", monitor=self._monitor.name, stages=len(self._services))
                await self._wait(app)
            finally:
                await self._wind_up(app)
                for number in SIGNALS if signals else ():
                    loop.remove_signal_handler(number)
        for service in self._services:
            if service.failure is not None and not self._is_passing(service.failure):
                raise service.failure
        if self._crash is not None:
            raise TransportError(f"the frame of the worker failed: {type(self._crash).__name__}; its log says why")

    def _is_passing(self, failure: BaseException) -> bool:
        """Whether a stage only gave up waiting, for Redis or Kafka, because it was told to stop: nothing is lost, what
        was not applied is read again."""
        if not (self._stopping.is_set() and isinstance(failure, VigiliaError) and failure.retriable):
            return False
        log.info("stopped_while_waiting", reason=failure.reason, error=str(failure))
        return True

    def tell_status(self) -> None:
        """Write a line on each stage to the log."""
        for service in self._services:
            log.info("worker_status", monitor=self._monitor.name, **service.stage.status())

    async def _wait(self, app: Any) -> None:
        """Until a signal, a failure, or the end of every stage."""
        ended = [asyncio.create_task(service.ended.wait()) for service in self._services]
        others = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(app.wait_until_stopped())]
        try:
            while ended:
                done, _ = await asyncio.wait([*ended, *others], return_when=asyncio.FIRST_COMPLETED)
                if others[1] in done:
                    self._crash = app.crash_reason  # None if somebody stopped it
                if done & set(others) or any(service.failure for service in self._services):
                    return
                ended = [task for task in ended if task not in done]
            self.finished = True
        finally:
            for task in [*ended, *others]:
                task.cancel()
            await asyncio.gather(*ended, *others, return_exceptions=True)

    async def _wind_up(self, app: Any) -> None:
        log.info("worker_stopping", monitor=self._monitor.name)
        try:
            # mode stops children one after the other: tell all of them first.
            for service in self._services:
                service.stage.stop()
            await asyncio.wait_for(app.stop(), self._settings.shutdown_seconds + 2 * FRAME_SECONDS)
            # The group of the control agent is this worker's alone: without this each start would leave one behind.
            await asyncio.to_thread(remove_groups, self._settings, [app.conf.id], FRAME_SECONDS)
        except TimeoutError:
            log.warning("worker_left_behind", seconds=self._settings.shutdown_seconds + 2 * FRAME_SECONDS)
        if self._sink is not None:
            await self._sink.close()
        log.info("worker_stopped", monitor=self._monitor.name)

    def _on_signal(self, number: int) -> None:
        log.info("signal", name=signal.Signals(number).name)
        self.stop()
        loop = asyncio.get_running_loop()
        for other in SIGNALS:
            loop.remove_signal_handler(other)
            signal.signal(other, signal.SIG_DFL)  # the next one kills


def frame(
    monitor: Monitor, settings: Settings, folder: str, stop: Callable[[], None], status: Callable[[], None]
) -> Any:
    """The Faust app: named after the monitor, with the control agent and a timer; nothing of it is kept.

    Each worker has an id, and so a consumer group, of its own: a command reaches every worker.
    """
    app = faust.App(
        f"{monitor.name}.worker.{uuid.uuid4().hex[:12]}",
        broker=";".join(f"kafka://{address.strip()}" for address in settings.bootstrap_servers.split(",")),
        broker_credentials=credentials(settings),
        broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0,
        consumer_auto_offset_reset="latest",
        datadir=folder,
        topic_allow_declare=False,  # `streams.transport.topics` creates and checks; the embedded broker can't
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(control_topic(monitor), key_serializer="raw", value_serializer="raw", value_type=bytes)

    @app.agent(topic, name="control")  # type: ignore[untyped-decorator]
    async def control(commands: AsyncIterator[bytes]) -> None:
        async for command in commands:
            if command == b"stop":
                log.info("control", command="stop")
                stop()
            elif command == b"status":
                status()
            else:
                log.warning("control_unknown", size=len(command))

    @app.timer(STATUS_SECONDS)  # type: ignore[untyped-decorator]
    async def minute() -> None:
        status()

    return app


def credentials(settings: Settings) -> Any:
    """Faust's credentials for the settings' security protocol; None for plain text."""
    protocol = settings.security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        cafile = str(settings.ssl_ca_location) if settings.ssl_ca_location else None
        context = ssl.create_default_context(cafile=cafile)
    if not protocol.startswith("SASL"):
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.sasl_username,
        password=settings.sasl_password.get_secret_value() if settings.sasl_password else None,
        mechanism=settings.sasl_mechanism or "PLAIN",
        ssl_context=context,
    )


def run_worker(
    monitor: Monitor, settings: Settings, stages: Sequence[Stage], sink: Sink | None = None, *, bounded: bool = False
) -> int:
    """Run a worker in this process until it ends. Returns the exit status that its end calls for.

    A `bounded` run that was stopped before its stages were done is not a success: 1.
    """
    worker = Worker(monitor, settings, stages, sink)
    try:
        asyncio.run(worker.run())
    except VigiliaError as error:
        log.error("worker_failed", reason=error.reason, error=str(error))
        return error.exit_status
    if bounded and not worker.finished:
        log.error("worker_unfinished", monitor=monitor.name, error="stopped before everything was applied")
        return 1
    return 0
