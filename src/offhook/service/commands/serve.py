"""`offhook serve`: the service."""

import contextlib

import structlog

from offhook.service.commands.options import ServeOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.contradictions import doubts
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.refusal_record import RefusalRecord
from offhook.service.serving import serve
from offhook.service.settings import Settings
from offhook.service.settings_file import load
from offhook.service.wiring import listeners, open_house

logger = structlog.get_logger()


def run(options: ServeOptions, terminal: Terminal) -> int:
    """Serve until a signal. Raises OffhookError when it cannot begin."""
    del terminal
    settings = load(options.config)
    with contextlib.ExitStack() as stack:
        folder = settings.storage.call_logs
        set_up(settings.logging, also=[] if folder is None else [stack.enter_context(RefusalRecord(folder))])
        for doubt in doubts(settings):
            logger.warning("doubtful_setting", setting=doubt.path, problem=doubt.problem, remedy=doubt.remedy)
        run_in_loop(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    async with open_house(settings) as house:
        await serve(house, await listeners(settings, house.link))
