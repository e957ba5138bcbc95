"""The only file of this room that knows what time it is, and the only place where it waits (house rule 3)."""

import asyncio
import time
from typing import Final


class LinkClock:
    """ms since this clock was made. To be made inside a running event loop."""

    def __init__(self) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._epoch: Final = self._loop.time()

    def now(self) -> int:
        """ms, whole, rising."""
        return int((self._loop.time() - self._epoch) * 1000)

    async def came(self, deadline: int | None, stirred: asyncio.Event) -> bool:
        """Wait until `deadline` (ms; None: never) or until `stirred` is set. True: the deadline has come."""
        until = None if deadline is None else self._epoch + deadline / 1000
        try:
            async with asyncio.timeout_at(until):
                await stirred.wait()
        except TimeoutError:
            return True
        return False

    async def give_way(self) -> None:
        """Let everybody else have a turn."""
        await asyncio.sleep(0)


def unix_seconds() -> int:
    """The time of day, for signatures."""
    return int(time.time())
