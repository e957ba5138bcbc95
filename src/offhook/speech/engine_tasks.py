"""What an engine does beside its callers: its tasks have a parent, and `stop` ends them all."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

_log: Final = logging.getLogger(__name__)


class EngineTasks:
    """The tasks of one engine, between `start` and `stop`. What is run here turns its failures into values: nobody
    waits for it. What it does not foresee ends that task alone, with its traceback in the log."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._group: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()

    @property
    def started(self) -> bool:
        """Whether there is somebody to run tasks."""
        return self._group is not None

    async def start(self) -> None:
        """Begin; again after `stop`."""
        if self._group is None:
            self._group = await self._stack.enter_async_context(asyncio.TaskGroup())

    def run(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Do this beside everything else; None, and it is not begun, where the engine is not started."""
        if self._group is None:
            work.close()
            return None
        task = self._group.create_task(_walled(work, name), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # of one that was cancelled before it began
        return task

    async def settle(self) -> None:
        """Wait until what runs now has ended by itself."""
        if self._running:
            await asyncio.wait(tuple(self._running))

    async def stop(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        self._group = None
        for task in self._running:
            task.cancel()
        await self._stack.aclose()


async def _walled(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - the outer wall of what engines do beside calls (house rule 7)
        _log.exception("%s has ended badly", name)
