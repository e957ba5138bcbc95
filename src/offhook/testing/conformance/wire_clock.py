"""The only file of the conformance check that knows what time it is, and the only place where it waits."""

import asyncio
import time


def now_ms() -> int:
    """ms on a scale that only rises."""
    return time.monotonic_ns() // 1_000_000


def unix_ms() -> int:
    """The time of day, as `speech_started_at` has it."""
    return time.time_ns() // 1_000_000


async def pause(seconds: float) -> None:
    """Let the app be for a while."""
    await asyncio.sleep(seconds)
