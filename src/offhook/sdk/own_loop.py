"""An event loop in a thread of its own, for programs that have none (Flask, Django, a script)."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class OwnLoop:
    """Runs coroutines for sync callers, all on one loop, so that a session's order holds over the caller's threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, None], result: Future[ResultT]) -> ResultT:
        """What `work` sets as the result; the calling thread waits for that, the work may go on."""
        working = asyncio.run_coroutine_threadsafe(work, self._started())
        either: list[Future[Any]] = [result, working]
        wait(either, return_when=FIRST_COMPLETED)
        if not result.done():
            working.result()
        return result.result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="offhook-assistant", daemon=True).start()
            return self._loop
