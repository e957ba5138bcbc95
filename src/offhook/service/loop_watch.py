"""How late the event loop is: what a call waits for because others were being served."""

import asyncio
import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from offhook.calls.line_tally import Histogram
from offhook.control.metrics import Metric

EVERY_S: Final = 0.05
LATE_MS: Final = (
    1.0,
    2.0,
    3.0,
    5.0,
    7.0,
    10.0,
    15.0,
    20.0,
    30.0,
    50.0,
    75.0,
    100.0,
    150.0,
    200.0,
    300.0,
    500.0,
    1000.0,
)


class LoopWatch:
    """Asks to be woken every 50 ms, and counts how late that was."""

    def __init__(self) -> None:
        self._late: Final = Histogram(LATE_MS)

    async def run(self) -> None:
        """Watch until cancelled."""
        due = time.monotonic() + EVERY_S
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            self._late.add(max(0.0, (now - due) * 1000))
            due = max(due, now) + EVERY_S

    def metrics(self) -> Iterator[Metric]:
        """The counts as they are now."""
        about = "How late the event loop of the service process was, in ms, asked every 50 ms."
        limits = (*LATE_MS, float("inf"))
        buckets = tuple(zip(limits, accumulate(self._late.counts), strict=True))
        yield Metric("offhook_event_loop_late_ms", "histogram", about, self._late.total, buckets=buckets)
