"""Offhook's media process by itself, as the far end of what a core carries: no speech, no app, no conversations."""

import asyncio
import os
from pathlib import Path
from typing import Final

from bench.media_clock import Result, build_generator, measure, speech

from offhook.media.messages import Codec

CALLS: Final = 750
WATCHED_S: Final = 8


def measure_media_alone(folder: Path) -> Result:
    """One run of bench/media_clock.py on core 0, with callers who speak all the time."""
    cores = os.sched_getaffinity(0)
    codec = Codec.PCMU

    async def once() -> Result:
        voice = await speech(codec.rate)
        return await measure(CALLS, WATCHED_S, codec, build_generator(folder), voice, (0, max(cores)))

    try:
        return asyncio.run(once())
    finally:
        os.sched_setaffinity(0, cores)
