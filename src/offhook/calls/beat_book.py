"""Which calls want the next beat: a tick costs what has happened in it, not what is in progress."""

import heapq
from typing import Final, Generic, TypeVar

from offhook.calls.heartbeat import Heartbeat
from offhook.media.messages import TICK_MS

HORIZON_TICKS: Final = 250
"""Nobody is asked less often: so nothing of a call that has ended is kept for longer."""

CallT = TypeVar("CallT")


class BeatBook(Generic[CallT]):
    """For each call the tick of its next beat."""

    def __init__(self, heart: Heartbeat) -> None:
        self._heart: Final = heart
        self._next: Final[dict[CallT, int]] = {}
        self._asked: Final[dict[int, list[CallT]]] = {}
        self._ticks: Final[list[int]] = []

    @property
    def tick(self) -> int:
        """The tick that it is."""
        return self._heart.tick

    def want(self, call: CallT, tick: int) -> None:
        """This call wants a beat at `tick`, and not before the next one; an earlier one that it wants stands."""
        tick = min(max(tick, self.tick + 1), self.tick + HORIZON_TICKS)
        if self._next.get(call, tick + 1) <= tick:
            return
        self._next[call] = tick
        asked = self._asked.get(tick)
        if asked is None:
            asked = self._asked[tick] = []
            heapq.heappush(self._ticks, tick)
        asked.append(call)

    def forget(self, call: CallT) -> None:
        """This call wants no beat any more."""
        self._next.pop(call, None)

    def take(self) -> list[CallT]:
        """The calls whose beat has come; whoever wants another one says so again."""
        due: list[CallT] = []
        while self._ticks and self._ticks[0] <= self.tick:
            tick = heapq.heappop(self._ticks)
            for call in self._asked.pop(tick):
                if self._next.get(call) == tick:
                    del self._next[call]
                    due.append(call)
        return due


class CallBeat(Generic[CallT]):
    """The beat of one call, for all its parts: each asks for the tick in which it has something to do, and again at
    every beat as long as it has; a beat that nobody wanted any more changes nothing."""

    def __init__(self, book: BeatBook[CallT], call: CallT) -> None:
        self._book: Final = book
        self._call: Final = call

    @property
    def tick(self) -> int:
        """The tick that it is."""
        return self._book.tick

    def at(self, tick: int) -> None:
        """Something is to be done at this tick."""
        self._book.want(self._call, tick)

    def when(self, ms: int | None, began: int) -> None:
        """Something is to be done `ms` after `began` (ms since the epoch), if at all."""
        if ms is not None:
            self._book.want(self._call, -(-(began + ms) // TICK_MS))
