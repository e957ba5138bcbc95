"""An event loop in a thread of its own, for programs that have none (Flask, a script), or too many (Django)."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class OwnLoop:
    """Runs coroutines for sync callers and for those of other loops, all on one: a session's order holds."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, None], result: Future[ResultT]) -> ResultT:
        """What `work` sets as the result; the calling thread waits for that, the work may go on."""
        working = asyncio.run_coroutine_threadsafe(work, self._started())
        either: list[Future[Any]] = [result, working]
        wait(either, return_when=FIRST_COMPLETED)
        return _first(result, working)

    async def run_async(self, work: Coroutine[Any, Any, None], result: Future[ResultT]) -> ResultT:
        """As `run`, for a caller on another loop."""
        working = asyncio.run_coroutine_threadsafe(work, self._started())
        either: list[asyncio.Future[Any]] = [asyncio.wrap_future(result), asyncio.wrap_future(working)]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return _first(result, working)

    def result(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """What `work` returns, when all of it is done."""
        return asyncio.run_coroutine_threadsafe(work, self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="offhook-assistant", daemon=True).start()
            return self._loop


def _first(result: Future[ResultT], working: Future[None]) -> ResultT:
    if not result.done():
        working.result()
    return result.result()
