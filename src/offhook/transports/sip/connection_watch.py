"""Which connections are given up: those whose message does not end, and those of strangers that say nothing. Pure.

They are looked at every `LOOK_EVERY_MS`; a connection that made no progress from one look to the next is overdue.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOOK_EVERY_MS: Final = 10_000
# Looks: a stranger's connection without a message in that time has no use.
STRANGER_MAY_REST: Final = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """A connection at a look: how many messages it has brought, whether it is amid one, whether it is a stranger's."""

    link: int
    messages: int
    amid: bool
    strange: bool


@dataclass(slots=True)
class _Rest:
    messages: int
    amid: int
    looks: int


class ConnectionWatch:
    """Remembers each connection from look to look."""

    def __init__(self) -> None:
        self._rests: dict[int, _Rest] = {}

    def overdue(self, connections: Iterable[Seen]) -> list[int]:
        """The links to give up, at this look."""
        found: list[int] = []
        rests: dict[int, _Rest] = {}
        for seen in connections:
            rest = self._rests.get(seen.link)
            if rest is None or rest.messages != seen.messages:
                rest = _Rest(seen.messages, 0, 0)
            rest.amid = rest.amid + 1 if seen.amid else 0
            rest.looks += 1
            rests[seen.link] = rest
            if rest.amid > 1 or (seen.strange and rest.looks > STRANGER_MAY_REST):
                found.append(seen.link)
        self._rests = rests
        return found
