"""What an engine does beside its callers: its tasks have a parent, and `stop` ends them all."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any


class EngineTasks:
    """The tasks of one engine, between `start` and `stop`. What is run here turns its failures into values: nobody
    waits for it."""

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
        task = self._group.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def stop(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        self._group = None
        for task in self._running:
            task.cancel()
        await self._stack.aclose()
