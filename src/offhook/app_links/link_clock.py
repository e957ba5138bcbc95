"""The only file of this room that knows what time it is, and the only place where it waits (house rule 3)."""

import asyncio
import time
from typing import Final, TypeVar

T = TypeVar("T")


class LinkClock:
    """ms since this clock was made. To be made inside a running event loop."""

    def __init__(self) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._epoch: Final = self._loop.time()

    def now(self) -> int:
        """ms, whole, rising."""
        return int((self._loop.time() - self._epoch) * 1000)

    async def next_or_deadline(self, inbox: asyncio.Queue[T], deadline: int | None) -> T | None:
        """The next thing in the inbox, or None when `deadline` (ms) has come before it."""
        until = None if deadline is None else self._epoch + deadline / 1000
        try:
            async with asyncio.timeout_at(until):
                return await inbox.get()
        except TimeoutError:
            return None


def unix_seconds() -> int:
    """The time of day, for signatures."""
    return int(time.time())
