"""Waiting for what others do, without a clock of one's own."""

import asyncio
from collections.abc import Callable


class Watching:
    """Something whose state changes from outside, and that can be waited for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Let all who wait look again."""
        self._changed.set()

    async def until(
        self, holds: Callable[[], bool], *, seconds: float = 20, told: Callable[[], object] | None = None
    ) -> None:
        """Return as soon as this holds; fail when it does not within so many seconds, with what `told` says then."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {told() if told else holds}") from None
