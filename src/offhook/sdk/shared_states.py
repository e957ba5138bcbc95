"""State that several processes share (contract D35): the interface, and one event's way through it.

Events of one session may reach different processes. They take their places in the session's one line when they arrive;
whoever is first in it has the state, and gives it back when its handler is done.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import TypeAdapter, ValidationError

from offhook.errors import OffhookError
from offhook.protocol.events import Event, SessionEnd, UserSpeak
from offhook.sdk.history import Note, note_of
from offhook.sdk.session_lines import Call, SessionLine, Turn

log = logging.getLogger("offhook.assistant")

Arriving: TypeAlias = Literal["end", "turn", "other"]
"""What an event means to those before it: `session_end` ends them all, a turn of the caller ends older turns' work."""


class StateUnavailable(OffhookError):
    """The state of a session cannot be read or kept; the event is not answered."""


class Place(Protocol):
    """One event's place in its session's line."""

    async def take(self, *, latest_turn_only: bool) -> tuple[bytes | None, Sequence[Note]] | None:
        """Wait until all before it are done. The state as it was left (None: there is none) and the talk; None when the
        event came too late or a newer turn stands behind it. Raises StateUnavailable."""
        ...

    async def watch(self, cancel: Callable[[bool], None]) -> None:
        """Until `leave`: keep the place; `cancel` is called when it is to be given up (True: the call is over)."""
        ...

    async def leave(self, state: bytes | None, *, drop: bool) -> None:
        """Give the place to the next; called exactly once.

        Args:
            state: what is kept from now on; None: what was there.
            drop: nothing is kept of this session any more.

        Raises:
            StateUnavailable: it was not kept; the place had been lost, too.
        """
        ...


class SharedStates(Protocol):
    """Where processes share the state of sessions."""

    async def note(self, session_id: str, note: Note) -> None:
        """Add to the talk what an event says that no handler waits for. Raises StateUnavailable."""
        ...

    async def arrive(self, session_id: str, arriving: Arriving, note: Note | None) -> Place:
        """The event takes its place, and ends what it makes useless. Raises StateUnavailable."""
        ...


async def run_shared(
    states: SharedStates, line: SessionLine, event: Event, turn: Turn, call: Call, make_state: Callable[[], Any]
) -> BaseException | None:
    """As `SessionLine.run`, with the state from `states`."""
    arriving: Arriving = "end" if isinstance(event, SessionEnd) else "turn" if isinstance(event, UserSpeak) else "other"
    place = await _arrive(states, line, event, arriving)
    held = _Held(place, event, turn, call, make_state)
    try:
        return await line.run(event, turn, held.run)
    finally:
        if not held.left:
            await place.leave(None, drop=isinstance(event, SessionEnd))


async def _arrive(states: SharedStates, line: SessionLine, event: Event, arriving: Arriving) -> Place:
    """One after the other, so that the order is that of this process's line, too."""
    place: Place | None = None
    try:
        async with line.arriving:
            place = await states.arrive(event.session.id, arriving, note_of(event))
    finally:
        if place is None:
            line.turns_away()
    return place


class _Held:
    """One event from when it is its turn in this process."""

    def __init__(self, place: Place, event: Event, turn: Turn, call: Call, make_state: Callable[[], Any]) -> None:
        self._place = place
        self._event = event
        self._turn = turn
        self._call = call
        self._make_state = make_state
        self.left = False

    async def run(self) -> BaseException | None:
        taken = await self._place.take(latest_turn_only=self._turn.latest_turn_only)
        if taken is None:
            return None
        kept, self._turn.notes = taken[0], list(taken[1])
        empty = self._make_state()
        keeper: TypeAdapter[Any] = TypeAdapter(type(empty))
        try:
            self._turn.state = empty if kept is None else keeper.validate_json(kept)
        except ValidationError as error:
            raise StateUnavailable(
                f"The state of session {self._event.session.id} does not fit {type(empty).__name__} ({error}).",
                remedy="Give new fields a default, so that calls that are going on can be read.",
                code="state_unreadable",
            ) from error
        async with asyncio.TaskGroup() as group:
            group.create_task(self._place.watch(lambda over: self._turn.cancel(even_if_kept=over)))
            try:
                failure = await self._call()
            finally:
                not_kept = await self._leave(keeper)
        return failure or not_kept

    async def _leave(self, keeper: TypeAdapter[Any]) -> BaseException | None:
        self.left = True
        kept: bytes | None = None
        failure: BaseException | None = None
        try:
            kept = keeper.dump_json(self._turn.state)
        except ValueError as error:
            failure = StateUnavailable(
                f"The state of session {self._event.session.id} cannot be written as JSON ({error}).",
                remedy="Keep what JSON can say: texts, numbers, lists, dicts, dataclasses, pydantic models.",
                code="state_unwritable",
            )
        try:
            await self._place.leave(kept, drop=isinstance(self._event, SessionEnd))
        except StateUnavailable as unavailable:
            failure = unavailable
        if failure is not None:
            log.error("session %s: %s", self._event.session.id, failure)
        return failure
