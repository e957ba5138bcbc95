"""`offhook serve`: the service; one process of it, or the nodes of a machine."""

import contextlib
import os

import structlog

from offhook.service.commands.options import ServeOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.contradictions import doubts
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.node_place import NodePlace
from offhook.service.refusal_record import RefusalRecord
from offhook.service.serving import serve
from offhook.service.settings import Settings
from offhook.service.settings_file import load
from offhook.service.wiring import listeners, open_house

logger = structlog.get_logger()

NICENESS = -5
"""Before apps and engines, which callers wait for once a turn; after the media process, heard 50 times a second."""


def run(options: ServeOptions, terminal: Terminal) -> int:
    """Serve until a signal. Raises OffhookError when it cannot begin."""
    del terminal
    settings = load(options.config)
    if options.nodes > 1 and options.node is None:
        # The parent of several nodes alone needs it, and a web server of its own with it.
        from offhook.service.nodes import serve_nodes

        set_up(settings.logging)
        _say_doubts(settings)
        run_in_loop(serve_nodes(settings, options.config, options.nodes, kamailio=options.kamailio))
        return 0
    place = None if options.node is None else NodePlace(options.node, options.nodes, settings.nodes.first_port)
    if place is not None:
        settings = _settle_in(place, settings)
    with contextlib.ExitStack() as stack:
        folder = settings.storage.call_logs
        set_up(settings.logging, also=[] if folder is None else [stack.enter_context(RefusalRecord(folder))])
        if place is None:
            _say_doubts(settings)
        _go_before_others()
        run_in_loop(_serve(settings, place))
    return 0


def _go_before_others() -> None:
    """Ask for the processor before programs that can wait; without the right to do so it stays as it is."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))


def _settle_in(place: NodePlace, settings: Settings) -> Settings:
    """Take a node's cores, put its number on every line of the log, and give its own settings."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, place.cores(os.sched_getaffinity(0)))
    structlog.contextvars.bind_contextvars(node=place.number)
    return place.settings(settings)


def _say_doubts(settings: Settings) -> None:
    for doubt in doubts(settings):
        logger.warning("doubtful_setting", setting=doubt.path, problem=doubt.problem, remedy=doubt.remedy)


async def _serve(settings: Settings, place: NodePlace | None) -> None:
    async with open_house(settings) as house:
        await serve(house, await listeners(settings, house.link, None if place is None else place.front()))
