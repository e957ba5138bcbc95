"""The beat of the service process: each report of the media process, taken once and in order (house.md section 6)."""

import time
from collections.abc import Iterable
from typing import Final, Protocol

from offhook.calls.media_link import MediaLink
from offhook.media.messages import TICK_MS, Report


class TakesReports(Protocol):
    def take(self, report: Report) -> None:
        """Bring one tick's facts to the calls they belong to and advance every deadline that has come."""


class Heartbeat:
    """Knows what time it is: `tick` counts 20 ms from the epoch of the media link; `epoch` is its Unix time in ms."""

    def __init__(self, link: MediaLink, *, epoch: int | None = None) -> None:
        self._link: Final = link
        self._epoch: Final = int(time.time() * 1000) if epoch is None else epoch
        self.tick = 0

    @property
    def unix_ms(self) -> int:
        """The Unix time of the current tick, in ms."""
        return self._epoch + self.tick * TICK_MS

    async def beat(self, takers: Iterable[TakesReports]) -> None:
        """Take reports until the link is closed."""
        listening = tuple(takers)
        async for report in self._link.reports():
            self.tick = report.tick
            for taker in listening:
                taker.take(report)
