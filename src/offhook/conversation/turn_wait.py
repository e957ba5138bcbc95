"""A queued `hangup` or `transfer` waits for the turn that has interrupted the assistant (contract D8).

An answer with actions to that turn takes its place; an answer with nothing to do, a turn without words, or the time
limit lets it run. Late words (D40) find it waiting again if it has not run yet.
"""

from collections.abc import Iterable
from typing import Final

from offhook.conversation.defaults import FINAL_WORDS_WITHIN_MS
from offhook.conversation.inputs import Ms
from offhook.conversation.queue_items import Connect, Item, Leave


class TurnWait:
    """What waits, and for which turn. `turn` None: the reflex has cut, and the turn's onset is not here yet.
    What has `lapsed` may run, because the turn's words are late."""

    def __init__(self, answer_wait_ms: Ms | None) -> None:
        self._answer_wait_ms: Final = answer_wait_ms
        self._held: tuple[Item, ...] = ()
        self._lapsed: tuple[Item, ...] = ()
        self._turn: int | None = None
        self._event: int | None = None
        self.ends_at: Ms | None = None

    def hold(self, queue: Iterable[Item], turn: int | None, now: Ms) -> None:
        """The caller has interrupted: what would end the conversation waits."""
        held = tuple(item for item in queue if isinstance(item, Leave | Connect))
        if held:
            self._held, self._lapsed, self._turn, self._event = held, (), turn, None
            self.ends_at = now + FINAL_WORDS_WITHIN_MS if turn is None else None

    def holds(self, item: Item) -> bool:
        return any(item is held for held in self._held)

    def turn_began(self, turn: int) -> None:
        """The turn whose voice the reflex has heard."""
        if self._held and self._turn is None:
            self._turn, self.ends_at = turn, None

    def told(self, turn: int, event: int, now: Ms) -> None:
        """The turn's `user_speak` went out: from now on its answer is awaited."""
        if self._held and self._turn == turn:
            self._event = event
            self.ends_at = None if self._answer_wait_ms is None else now + self._answer_wait_ms

    def wordless(self, turn: int) -> None:
        """The turn had no words: there will be no answer."""
        if self._turn == turn:
            self.release()

    def late(self, turn: int) -> None:
        """Nothing is known of the turn in time: nothing is held up any longer."""
        if self._turn == turn:
            self._held, self._lapsed = (), self._held

    def taken_up_again(self, turn: int) -> None:
        """The turn's late words are here."""
        if self._turn == turn:
            self._held, self._lapsed = self._lapsed, ()

    def awaits_answer(self, answers: int | None) -> bool:
        """Whether these actions are the awaited answer. On a WebSocket the first actions after the event are."""
        if self._event is None:
            return False
        return answers == self._event or (answers is None and self._answer_wait_ms is not None)

    def release(self) -> None:
        """Nothing waits any more."""
        self._held, self._lapsed, self._turn, self._event, self.ends_at = (), (), None, None, None
