"""The deadlines of many machines, earliest first."""

import heapq
from typing import Final, Protocol

from offhook.transports.sip.hop import Ms


class Machine(Protocol):
    """Something that wants to be called at a time."""

    @property
    def next_deadline(self) -> Ms | None: ...


class _Entry:
    """One planned deadline. Once it is overtaken it has no machine, so that a call that is over is kept by nobody."""

    __slots__ = ("at", "machine", "number")

    def __init__(self, at: Ms, number: int, machine: Machine) -> None:
        self.at: Final = at
        self.number: Final = number
        self.machine: Machine | None = machine

    def __lt__(self, other: "_Entry") -> bool:
        return (self.at, self.number) < (other.at, other.number)


MOST_OVERTAKEN: Final = 64
"""So many entries may stand in the heap for nothing, beside as many as there are machines; then they are taken out."""


class Deadlines:
    """The deadlines of many machines, earliest first."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._planned: dict[int, _Entry] = {}
        self._count = 0

    def __len__(self) -> int:
        """Entries that are kept."""
        return len(self._heap)

    def plan(self, machine: Machine) -> None:
        """Note the machine's deadline, which may have changed."""
        deadline = machine.next_deadline
        planned = self._planned.get(id(machine))
        if planned is not None:
            if planned.at == deadline:
                return
            planned.machine = None
            del self._planned[id(machine)]
        if deadline is not None:
            self._count += 1
            entry = self._planned[id(machine)] = _Entry(deadline, self._count, machine)
            heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._planned) + MOST_OVERTAKEN:
            self._heap = [entry for entry in self._heap if entry.machine is not None]
            heapq.heapify(self._heap)

    @property
    def next(self) -> Ms | None:
        """The earliest of all."""
        while self._heap and self._heap[0].machine is None:
            heapq.heappop(self._heap)
        return self._heap[0].at if self._heap else None

    def pop_due(self, now: Ms) -> Machine | None:
        """A machine whose deadline has come; it must be planned again afterwards."""
        if self.next is None or self._heap[0].at > now:
            return None
        machine = heapq.heappop(self._heap).machine
        self._planned.pop(id(machine), None)
        return machine
