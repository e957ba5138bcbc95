"""The only file of this room that knows what time it is (beside `scripted_delay`), and where it waits for what
comes."""

import asyncio
import time
from typing import TypeVar

T = TypeVar("T")


def now_ms() -> int:
    """ms of a clock that only rises; where it began means nothing."""
    return time.monotonic_ns() // 1_000_000


async def next_by(inbox: asyncio.Queue[T], deadline: int | None) -> T | None:
    """The next thing in the inbox, or None when `deadline` (of `now_ms`) has come before it; None: no deadline."""
    if not inbox.empty():
        return inbox.get_nowait()
    try:
        async with asyncio.timeout(None if deadline is None else max(0, deadline - now_ms()) / 1000):
            return await inbox.get()
    except TimeoutError:
        return None
