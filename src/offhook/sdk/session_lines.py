"""The order of one session's events (contract D35): one at a time, in the order of their arrival; sessions never wait
for each other. Cancelling, too: `session_end` ends what still runs, a newer turn ends what is for the latest turn only.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from offhook.protocol.events import Event, SessionEnd, UserSpeak

MOST_SESSIONS: Final = 10_000
"""Sessions remembered at once; beyond it the one that was silent longest is forgotten (its `session_end` was lost)."""


class SessionLine:
    """One session: its state, and the line in which its events wait."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._turn = asyncio.Lock()
        self._running: asyncio.Task[BaseException | None] | None = None
        self._running_is_for_latest_turn = False
        self._turns = 0
        self._ended = False
        self._inside = 0

    @property
    def is_idle(self) -> bool:
        return self._inside == 0

    async def run(
        self, event: Event, call: Coroutine[Any, Any, BaseException | None], *, latest_turn_only: bool
    ) -> BaseException | None:
        """Run a handler's call when it is this event's turn; what it raised, else None."""
        if isinstance(event, SessionEnd):
            self._ended = True
            self._cancel()
        elif isinstance(event, UserSpeak):
            self._turns += 1
            if self._running_is_for_latest_turn:
                self._cancel()
        turn = self._turns
        self._inside += 1
        try:
            async with self._turn:
                too_late = self._ended and not isinstance(event, SessionEnd)
                superseded = latest_turn_only and turn < self._turns
                return None if too_late or superseded else await self._run(call, latest_turn_only)
        finally:
            self._inside -= 1
            call.close()

    async def _run(
        self, call: Coroutine[Any, Any, BaseException | None], latest_turn_only: bool
    ) -> BaseException | None:
        try:
            async with asyncio.TaskGroup() as group:
                self._running = group.create_task(call)
                self._running_is_for_latest_turn = latest_turn_only
            return None if self._running.cancelled() else self._running.result()
        finally:
            self._running = None
            self._running_is_for_latest_turn = False

    def _cancel(self) -> None:
        if self._running is not None:
            self._running.cancel()


class SessionLines:
    """All sessions of an assistant, by id."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._lines: dict[str, SessionLine] = {}
        self._most = most

    def line(self, session_id: str) -> SessionLine:
        """The session's line; a new one for an unknown session. State survives a repeated `session_start`."""
        line = self._lines.pop(session_id, None) or SessionLine()
        self._lines[session_id] = line
        if len(self._lines) > self._most:
            silent = next((key for key, one in self._lines.items() if one.is_idle and one is not line), None)
            if silent is not None:
                del self._lines[silent]
        return line

    def forget(self, session_id: str) -> None:
        """After `session_end`."""
        self._lines.pop(session_id, None)

    def __len__(self) -> int:
        return len(self._lines)
