"""When the service process looks for what nothing points at any more: hardly ever while calls are in progress.

Python's collector stops the whole process while it goes through everything that is alive, by default again and again
as calls come and go: 200 ms at 200 calls, with an assistant that does not stop talking meanwhile. So what is there
when the service is ready is set aside (`gc.freeze`), the young generations are looked at less often, and the old one
by this file alone. A call that is over is freed without any of this (see `calls/live_call`); the sweep is for what
else may be left in circles, such as exceptions with their frames.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from offhook.control.metrics import Metric
from offhook.media.messages import TICK_MS, Report

YOUNG_OBJECTS: Final = 2000
MIDDLE_ROUNDS: Final = 2
NEVER: Final = 1_000_000
AT_REST_EVERY_TICKS: Final = 60_000 // TICK_MS
"""How often at most while no call is in progress."""
MOST_CALLS_BETWEEN: Final = 20_000
"""After so many calls it is done even though others are in progress."""


@contextmanager
def swept_by_hand() -> Iterator[None]:
    """Inside, the old generation is not looked at by itself; what is alive at the beginning is never looked at."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_ROUNDS, NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class MemorySweep:
    """Lives by the beat: sweeps when calls have ended and none is in progress, or when very many have ended."""

    def __init__(self, ended: Callable[[], int], in_progress: Callable[[], int]) -> None:
        self._ended: Final = ended
        self._in_progress: Final = in_progress
        self._ended_by_last = 0
        self._last_tick = 0
        self.sweeps = 0
        self.found = 0

    def take(self, report: Report) -> None:
        """One beat."""
        since = self._ended() - self._ended_by_last
        if not since:
            return
        at_rest = not self._in_progress() and report.tick - self._last_tick >= AT_REST_EVERY_TICKS
        if at_rest or since >= MOST_CALLS_BETWEEN:
            self._ended_by_last += since
            self._last_tick = report.tick
            self.sweeps += 1
            self.found += gc.collect()

    def metrics(self) -> Iterator[Metric]:
        """The numbers as they are now."""
        about = "Searches for memory that nothing uses: when no call is in progress, or after very many calls."
        yield Metric("offhook_memory_sweeps_total", "counter", about, self.sweeps)
        about = "Objects that those searches have found."
        yield Metric("offhook_memory_swept_objects_total", "counter", about, self.found)
