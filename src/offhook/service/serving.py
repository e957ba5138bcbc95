"""A house that serves: listeners, REST and health, until it is told to stop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import structlog

from offhook.control.control_app import control_app
from offhook.service.http_server import HttpServer
from offhook.service.line_metrics import LineMetrics
from offhook.service.loop_watch import LoopWatch
from offhook.service.memory_sweep import MemorySweep, swept_by_hand
from offhook.service.practice_target import PracticeTarget
from offhook.service.service_metrics import (
    CountingStreams,
    DialMetrics,
    MediaMetrics,
    MediaStreamMetrics,
    RefusalMetrics,
    RefusingListener,
    RegisteredTrunks,
    ServiceMetrics,
    SpeechCacheMetrics,
    TrunkMetrics,
)
from offhook.service.shutdown import Stopping
from offhook.service.speech_metrics import SpeechEngineMetrics
from offhook.service.wiring import House
from offhook.transports.call_leg import Dialler, Listener

logger = structlog.get_logger()


@runtime_checkable
class PlacesCalls(Dialler, Protocol):
    """A listener that places calls too."""


async def serve(
    house: House,
    listeners: Sequence[Listener],
    *,
    practice: PracticeTarget | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Take calls until SIGTERM or SIGINT, then drain (see shutdown.py). `ready` is called once all listeners are bound.
    `practice`: whom calls reach that are placed, where nobody is really called.

    Raises OffhookError when an address cannot be had.
    """
    limits = house.settings.limits
    stopping = Stopping(house.register, drain_seconds=limits.drain_seconds, farewell_seconds=limits.farewell_seconds)
    sweep = MemorySweep(lambda: house.register.counted["calls_ended"], house.register.calls_in_progress)
    watch = LoopWatch()
    app = control_app(
        house.register,
        keys=house.settings.http.keys,
        readiness=[stopping],
        metrics=[
            ServiceMetrics(house.register, house.keeper),
            MediaMetrics(house.link),
            watch,
            SpeechCacheMetrics(house.engines.cache),
            SpeechEngineMetrics(house.engines.health.engines),
            LineMetrics(house.link.lines),
            DialMetrics(house.routes),
            sweep,
            *(TrunkMetrics(listener) for listener in listeners if isinstance(listener, RegisteredTrunks)),
            *(MediaStreamMetrics(listener) for listener in listeners if isinstance(listener, CountingStreams)),
            *(RefusalMetrics(listener) for listener in listeners if isinstance(listener, RefusingListener)),
        ],
    )
    http = HttpServer(app, house.settings.http.listen)
    address = http.bind()
    started: list[Listener] = []
    try:
        for listener in listeners:
            await listener.start()
            started.append(listener)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(_run(house, listeners, practice, sweep), name="register"),
                tasks.create_task(watch.run(), name="loop watch"),
            ]
            if house.keeper is not None:
                background.append(tasks.create_task(house.keeper.run(), name="call log keeper"))
            tasks.create_task(http.serve(), name="http")
            logger.info("ready", http=str(address), flows=[flow.id for flow in house.settings.flows])
            ready()
            with swept_by_hand():
                await stopping.run_until_drained()
            http.stop()
            for listener in started:
                await listener.stop()
            for task in background:
                task.cancel()
    finally:
        for listener in started:
            await listener.stop()
    logger.info("stopped")


async def _run(
    house: House, listeners: Sequence[Listener], practice: PracticeTarget | None, sweep: MemorySweep
) -> None:
    if practice is not None:
        await practice.run(house.register, listeners, beside=[sweep])
    else:
        diallers = [each for each in listeners if isinstance(each, PlacesCalls)]
        await house.register.run(listeners, diallers, beside=[sweep])
