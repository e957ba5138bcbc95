"""The beat of the service process: each report of the media process, taken once and in order."""

import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from offhook.calls.media_link import MediaLink
from offhook.media.messages import TICK_MS, Report


class TakesReports(Protocol):
    """Somebody whose calls live by the beat."""

    def take(self, report: Report) -> None:
        """Bring one tick's facts to the calls they belong to and advance every deadline that has come."""


def monotonic_ms() -> float:
    """The machine's steady clock, in ms."""
    return time.monotonic() * 1000


def stopped() -> float:
    """A clock for a link that is driven by hand: between two ticks no time passes."""
    return 0.0


class Heartbeat:
    """Knows what time it is: `tick` counts 20 ms from the epoch of the media link. `epoch` is its Unix time in ms;
    None: as the link says.

    Facts of a report happen at its tick. What happens between two ticks (an app's answer, words) is placed between them
    by `clock`, but never at or after the next one: time follows the ticks.
    """

    def __init__(self, link: MediaLink, *, epoch: int | None = None, clock: Callable[[], float] = monotonic_ms) -> None:
        self._link: Final = link
        self._epoch: Final = epoch
        self._clock: Final = clock
        self._beaten_at = clock()
        self.tick = 0

    @property
    def ms(self) -> int:
        """ms since the epoch."""
        return self.tick * TICK_MS + min(TICK_MS - 1, int(self._clock() - self._beaten_at))

    @property
    def unix_ms(self) -> int:
        """The Unix time, in ms."""
        return (self._link.epoch if self._epoch is None else self._epoch) + self.ms

    async def beat(self, takers: Iterable[TakesReports]) -> None:
        """Take reports until the link is closed."""
        listening = tuple(takers)
        async for report in self._link.reports():
            self.take(report, listening)

    def take(self, report: Report, takers: Iterable[TakesReports]) -> None:
        """Take one report: by-hand clocks call this after each tick."""
        self.tick = report.tick
        self._beaten_at = self._clock()
        for taker in takers:
            taker.take(report)
