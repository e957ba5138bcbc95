"""The order of one session's events (contract D35): one at a time, in the order of their arrival; sessions never wait
for each other. Cancelling, too: `session_end` ends what still runs; a newer turn, or a caller who cuts what is being
said, ends what is for the latest turn only.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from offhook.protocol.actions import Action, BargeIn
from offhook.protocol.events import Event, SessionEnd, UserSpeak
from offhook.sdk.history import MOST_NOTES, Note, messages, note_of, was_cut

log = logging.getLogger("offhook.assistant")

MOST_SESSIONS: Final = 10_000
"""Sessions remembered at once; beyond it the one that was silent longest is forgotten (its `session_end` was lost)."""

FORGOTTEN_AFTER_SECONDS: Final = 3 * 3600.0
"""Without an event for so long, a session is forgotten: longer than a call lasts (D37), so that its end was lost."""


_FROM_LINE: Final = object()

Call: TypeAlias = Callable[[], Awaitable[BaseException | None]]


class Turn:
    """One event at work: what its handler finds in `event.session`."""

    def __init__(self, line: "SessionLine", number: int, *, latest_turn_only: bool) -> None:
        self._line = line
        self.number = number
        self.latest_turn_only = latest_turn_only
        self.interrupted = False
        self._own_state: Any = _FROM_LINE
        self.notes: list[Note] | deque[Note] = line.notes
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = False

    @property
    def state(self) -> Any:
        return self._line.state if self._own_state is _FROM_LINE else self._own_state

    @state.setter
    def state(self, state: Any) -> None:
        self._own_state = state

    @property
    def history(self) -> list[dict[str, str]]:
        return messages(self.notes)

    def cancel(self, *, even_if_kept: bool) -> None:
        """The handler's work is of no use any more. It is cancelled when it is for the latest turn only, or when the
        call is over (`even_if_kept`)."""
        self.interrupted = True
        if self._task is not None and not self._cancelling and (even_if_kept or self.latest_turn_only):
            self._cancelling = True
            self._task.cancel()

    async def run(self, call: Call) -> BaseException | None:
        """What the handler raised; None too when it was cancelled here. It runs in the caller's task, as with
        `asyncio.timeout`: a cancellation that came from elsewhere goes on."""
        task = self._task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        try:
            failure = await call()
        except asyncio.CancelledError:
            self._task = None
            if not self._cancelling or task.uncancel() > before:
                raise
            return None
        self._task = None
        if self._cancelling:
            task.uncancel()  # the handler has kept its cancellation to itself
        return failure


class SessionLine:
    """One session: its state, the talk so far, and the line in which its events wait."""

    def __init__(self, make_state: Callable[[], Any] = dict) -> None:
        self.notes: deque[Note] = deque(maxlen=MOST_NOTES)
        self.used_at = 0.0
        self._make_state: Final = make_state
        self._state: Any = None
        self._has_state = False
        self._turn = asyncio.Lock()
        self._running: Turn | None = None
        self._turns = 0
        self._ended = False
        self._inside = 0
        self.arriving = asyncio.Lock()
        self._speech_of: Turn | None = None
        self._app_cut = False

    @property
    def is_idle(self) -> bool:
        return self._inside == 0

    @property
    def state(self) -> Any:
        if not self._has_state:
            self._state = self._make_state()
            self._has_state = True
        return self._state

    def note(self, event: Event) -> None:
        """Take into the talk what this event says, as soon as it arrives."""
        note = note_of(event)
        if note is None:
            return
        if note[0] == "began":
            self._speech_of = self._running
        elif note[0] == "ended":
            cut = was_cut(self.notes[-1] if self.notes else None, note) and not self._app_cut
            if cut and self._running is not None and self._running is self._speech_of:
                self._running.cancel(even_if_kept=False)
            self._app_cut = False
        self.notes.append(note)

    def sent(self, actions: Sequence[Action]) -> None:
        """Actions of a handler go out: what the app itself cuts, the caller has not."""
        if any(isinstance(action, BargeIn) for action in actions):
            self._app_cut = True

    def arrives(self, event: Event, *, latest_turn_only: bool) -> Turn:
        """An event takes its place in the line, and ends what it makes useless."""
        if isinstance(event, SessionEnd):
            self._ended = True
            if self._running is not None:
                self._running.cancel(even_if_kept=True)
        elif isinstance(event, UserSpeak):
            self._turns += 1
            if self._running is not None:
                self._running.cancel(even_if_kept=False)
        self._inside += 1
        return Turn(self, self._turns, latest_turn_only=latest_turn_only)

    def turns_away(self) -> None:
        """An event that has arrived will not run."""
        self._inside -= 1

    async def run(self, event: Event, turn: Turn, call: Call) -> BaseException | None:
        """Run a handler's call when it is this event's turn; what it raised, else None."""
        try:
            async with self._turn:
                too_late = self._ended and not isinstance(event, SessionEnd)
                superseded = turn.latest_turn_only and turn.number < self._turns
                if too_late or superseded:
                    return None
                self._running = turn
                try:
                    return await turn.run(call)
                finally:
                    self._running = None
        finally:
            self.turns_away()


class SessionLines:
    """All sessions of an assistant, by id, the one that was silent longest first."""

    def __init__(
        self,
        make_state: Callable[[], Any] = dict,
        *,
        most: int = MOST_SESSIONS,
        forgotten_after_seconds: float = FORGOTTEN_AFTER_SECONDS,
    ) -> None:
        self._lines: dict[str, SessionLine] = {}
        self._make_state: Final = make_state
        self._most: Final = most
        self._lasts: Final = forgotten_after_seconds
        self.forgotten = 0

    def line(self, session_id: str, now: float) -> SessionLine:
        """The session's line; a new one for an unknown session. State survives a repeated `session_start`.

        Args:
            now: seconds of any clock that never goes back.
        """
        line = self._lines.pop(session_id, None)
        if line is None or (line.is_idle and line.used_at + self._lasts < now):
            line = SessionLine(self._make_state)
        self._lines[session_id] = line
        line.used_at = now
        oldest = next(iter(self._lines.values()))
        if len(self._lines) > self._most or oldest.used_at + self._lasts < now:
            self._forget_silent(line, now)
        return line

    def get(self, session_id: str) -> SessionLine | None:
        """The line of a session that is known."""
        return self._lines.get(session_id)

    def forget(self, session_id: str) -> None:
        """After `session_end`."""
        self._lines.pop(session_id, None)

    def _forget_silent(self, kept: SessionLine, now: float) -> None:
        gone: list[str] = []
        for session_id, line in self._lines.items():
            expired = line.used_at + self._lasts < now
            if not expired and len(self._lines) - len(gone) <= self._most:
                break
            if line.is_idle and line is not kept:
                gone.append(session_id)
        for session_id in gone:
            del self._lines[session_id]
            self.forgotten += 1
            log.warning(
                "session %s was forgotten without its session_end (%d so far): no event for %d s, or more than %d "
                "sessions at once",
                session_id, self.forgotten, self._lasts, self._most,
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self._lines)
