"""The only clock and the only sleep of the house's audio: ticks of 20 ms, counted from an epoch, with absolute
deadlines.

The epoch is a reading of the machine's steady clock, which all processes of a machine share: the service process
chooses it once, so ticks never restart, whatever becomes of a media process.
"""

import time
from dataclasses import dataclass
from typing import Final

from offhook.media.messages import TICK_MS

TICK_NS: Final = TICK_MS * 1_000_000
LATE_MS: Final = 5.0
"""A tick that begins later than this is counted as late."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One tick: its number, how late it begins in ms, and how many ticks before it were never begun."""

    tick: int
    late_ms: float
    missed: int


def steady_ns() -> int:
    """The machine's steady clock in ns; an epoch is a reading of it."""
    return time.monotonic_ns()


def tick_now(epoch_ns: int) -> int:
    """The number of the tick that is running now."""
    return (steady_ns() - epoch_ns) // TICK_NS


def unix_ms(epoch_ns: int) -> int:
    """The Unix time of an epoch, as the machine tells the time now; setting its clock moves what is asked later."""
    return (time.time_ns() - steady_ns() + epoch_ns) // 1_000_000


def unix_now_ns() -> int:
    """The Unix time in ns, as the machine tells it."""
    return time.time_ns()


class TickClock:
    """Waits for one tick after the other.

    A tick whose whole time has passed is not made up for: it is missed, and the next beat is the tick that is running.
    """

    def __init__(self, epoch_ns: int) -> None:
        self._epoch_ns: Final = epoch_ns
        self._next: int = tick_now(epoch_ns) + 1
        self.late_ticks = 0

    def wait(self) -> Beat:
        """Sleep until the next tick begins; return at once when it has begun already."""
        deadline = self._epoch_ns + self._next * TICK_NS
        remaining = deadline - steady_ns()
        if remaining > 0:
            time.sleep(remaining / 1e9)
        lag = steady_ns() - deadline
        missed = max(0, lag // TICK_NS)
        tick = self._next + missed
        late_ms = lag / 1e6
        self.late_ticks += missed + (late_ms > LATE_MS)
        self._next = tick + 1
        return Beat(tick, late_ms, missed)

    def busy_ms(self, beat: Beat) -> float:
        """How long the work of this tick has taken until now."""
        began = self._epoch_ns + (beat.tick - beat.missed) * TICK_NS + int(beat.late_ms * 1e6)
        return (steady_ns() - began) / 1e6
