"""The deadlines of many machines, earliest first."""

import heapq
from typing import Protocol

from offhook.transports.sip.hop import Ms


class Machine(Protocol):
    """Something that wants to be called at a time."""

    @property
    def next_deadline(self) -> Ms | None: ...


class Deadlines:
    """The deadlines of many machines, earliest first; entries that were overtaken are passed over."""

    def __init__(self) -> None:
        self._heap: list[tuple[Ms, int, Machine]] = []
        self._planned: dict[int, Ms] = {}
        self._count = 0

    def plan(self, machine: Machine) -> None:
        """Note the machine's deadline, which may have changed."""
        deadline = machine.next_deadline
        if deadline is None:
            self._planned.pop(id(machine), None)
        elif self._planned.get(id(machine)) != deadline:
            self._planned[id(machine)] = deadline
            self._count += 1
            heapq.heappush(self._heap, (deadline, self._count, machine))

    @property
    def next(self) -> Ms | None:
        """The earliest of all."""
        while self._heap:
            deadline, _, machine = self._heap[0]
            if self._planned.get(id(machine)) == deadline:
                return deadline
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: Ms) -> Machine | None:
        """A machine whose deadline has come; it must be planned again afterwards."""
        if self.next is None or self._heap[0][0] > now:
            return None
        machine = heapq.heappop(self._heap)[2]
        self._planned.pop(id(machine), None)
        return machine
