"""The event loop of the service process: uvloop where there is one; signals end it in order."""

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from offhook.errors import OffhookError

Result = TypeVar("Result")

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_in_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end. An OffhookError that a task group has wrapped comes out as it was raised.

    SIGINT, SIGTERM and SIGHUP cancel `main`, unless it handles them itself (`serve` drains).

    Raises:
        SystemExit: one of them did; with the exit code that a shell expects, 128 and the signal's number.
    """
    came: list[int] = []
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(_until_signal(main, came))
    except BaseExceptionGroup as group:
        raise _one_of(group) from group
    finally:
        if came:
            raise SystemExit(128 + came[0])


async def _until_signal(main: Coroutine[Any, Any, Result], came: list[int]) -> Result:
    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    assert running is not None

    def end(number: int) -> None:
        came.append(number)
        loop.remove_signal_handler(number)  # the second one does not wait for an orderly end
        running.cancel()

    # What is ignored already (nohup) stays ignored.
    handled = [one for one in ENDING if _in_main_thread() and signal.getsignal(one) is not signal.SIG_IGN]
    for number in handled:
        loop.add_signal_handler(number, end, number)
    try:
        return await main
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _one_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    ours = group.subgroup(OffhookError)
    if ours is None:
        return group
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
