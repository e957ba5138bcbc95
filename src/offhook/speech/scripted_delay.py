"""How long a scripted engine takes, as one behind a network does. The only sleep of this room."""

import asyncio


async def take(ms: int) -> None:
    """Return after so many ms; for 0 at once, without giving way."""
    if ms:
        await asyncio.sleep(ms / 1000)
