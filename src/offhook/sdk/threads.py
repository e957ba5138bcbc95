"""Work that blocks, in a thread, for a loop that goes on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def in_thread(threads: Executor, work: Callable[[], ResultT]) -> ResultT:
    """The result of `work`. A thread cannot be cancelled: cancelled meanwhile, this waits for its end first, so that
    nothing that comes next overtakes it."""
    working = asyncio.get_running_loop().run_in_executor(threads, work)
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        working.exception()
        raise cancelled
    return working.result()
