"""Keys that a `gather_dtmf` collects (contract D16)."""

from enum import StrEnum, auto
from typing import Final

from offhook.conversation.countdown import Countdown
from offhook.conversation.inputs import Ms
from offhook.conversation.queue_items import Gathering


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

    def press(self, digit: str, now: Ms, *, held: bool) -> Key:
        """A key, during the prompt or after it. `finish_on_key` is no part of the result; what is not allowed is
        ignored."""
        gathering = self.current
        if gathering is None or gathering.is_complete():
            return Key.IGNORED
        if digit == gathering.action.finish_on_key:
            gathering.finished_by_key = digit
            return Key.LAST
        if digit not in gathering.action.allowed_gathered_characters:
            return Key.IGNORED
        gathering.digits += digit
        if self._countdown.on:
            self._countdown.start(gathering.action.timeout_ms, now, suspended=held)
        return Key.LAST if gathering.is_complete() else Key.TAKEN

    def observe(self, now: Ms, *, held: bool) -> None:
        """On hold no key can come: the time stands still."""
        if held:
            self._countdown.suspend(now)
        else:
            self._countdown.resume(now)

    def end(self) -> str:
        """What was gathered so far is the result."""
        digits = self.current.digits if self.current is not None else ""
        self.current = None
        self._countdown.stop()
        return digits
