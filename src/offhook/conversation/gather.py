"""Keys that a `gather_dtmf` collects (contract D16)."""

from enum import StrEnum, auto
from typing import Final

from offhook.conversation.countdown import Countdown
from offhook.conversation.event_book import KEYS
from offhook.conversation.inputs import Ms
from offhook.conversation.queue_items import Gathering
from offhook.protocol.events import EventDigit


class Key(StrEnum):
    """What a key means to the gathering."""

    IGNORED = auto()
    TAKEN = auto()
    LAST = auto()


class Gather:
    """The gathering that the assistant is busy with, if any: its prompt first, then the keys."""

    def __init__(self) -> None:
        self.current: Gathering | None = None
        self._countdown: Final = Countdown()

    @property
    def ends_at(self) -> Ms | None:
        return self._countdown.ends_at

    def begin(self, gathering: Gathering) -> None:
        self.current = gathering

    def prompt_over(self, now: Ms, *, held: bool) -> None:
        """The time for the first key runs from here on."""
        if self.current is not None:
            self._countdown.start(self.current.action.timeout_ms, now, suspended=held)

    def press(self, digit: EventDigit, now: Ms, *, held: bool) -> Key:
        """A key, during the prompt or after it. `finish_on_key` is no part of the result; what is not allowed is
        ignored."""
        gathering = self.current
        meaning = Key.IGNORED if gathering is None else _meaning(gathering, digit)
        if gathering is None or meaning is Key.IGNORED:
            return Key.IGNORED
        if meaning is Key.LAST:
            gathering.finished_by_key = digit
            return Key.LAST
        gathering.masked += _stand_in(gathering, digit)
        gathering.digits += digit
        if self._countdown.on:
            self._countdown.start(gathering.action.timeout_ms, now, suspended=held)
        return Key.LAST if gathering.is_complete() else Key.TAKEN

    def stand_in(self, key: EventDigit) -> EventDigit | None:
        """The key that a log holds in the place of this one (D43). None: nothing is gathered."""
        return None if self.current is None else _stand_in(self.current, key)

    def observe(self, now: Ms, *, held: bool) -> None:
        """On hold no key can come: the time stands still."""
        if held:
            self._countdown.suspend(now)
        else:
            self._countdown.resume(now)

    def end(self) -> Gathering | None:
        """What was gathered so far is the result."""
        gathering, self.current = self.current, None
        self._countdown.stop()
        return gathering


def _meaning(gathering: Gathering, key: str) -> Key:
    if gathering.is_complete():
        return Key.IGNORED
    if key == gathering.action.finish_on_key:
        return Key.LAST
    return Key.TAKEN if key in gathering.action.allowed_gathered_characters else Key.IGNORED


def _stand_in(gathering: Gathering, key: EventDigit) -> EventDigit:
    """The first key that means the same here: it gives the same call, and says nothing of what was pressed."""
    meaning = _meaning(gathering, key)
    return next(other for other in KEYS.values() if _meaning(gathering, other) is meaning)
