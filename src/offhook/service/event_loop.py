"""The event loop of the service process: uvloop where there is one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from offhook.errors import OffhookError

Result = TypeVar("Result")


def run_in_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end. An OffhookError that a task group has wrapped comes out as it was raised."""
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(main)
    except BaseExceptionGroup as group:
        raise _one_of(group) from group


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
