"""The calls that a command shows, all on one terminal: each line says which call it belongs to."""

from collections.abc import Callable
from typing import Final

from offhook.calls.timeline import Timeline
from offhook.conversation.inputs import AppLost, Input, Ms
from offhook.conversation.outputs import HangUp, Output
from offhook.protocol.session import Session
from offhook.service.commands.terminal import Terminal


class CallLines:
    """Gives every call its timeline.

    Args:
        number_from: the first call whose lines begin with its number, `[2] `; those before it have no mark.
        announce: whether a line tells of each call's session and numbers.
    """

    def __init__(self, terminal: Terminal, *, number_from: int = 1, announce: bool = False) -> None:
        self._terminal: Final = terminal
        self._number_from: Final = number_from
        self._announce: Final = announce
        self.sessions: Final[list[str]] = []
        self.app_given_up = False

    def watch(self, session: Session) -> Timeline:
        """The timeline of a call that begins."""
        self.sessions.append(session.id)
        number = len(self.sessions)
        mark = f"[{number}] " if number >= self._number_from else ""
        if self._announce:
            caller = session.from_phone_number or "a withheld number"
            self._terminal.line(f"{mark}call {session.id} from {caller} to {session.to_phone_number}", "yellow")
        return _CallLines(self, lambda text: self._terminal.line(mark + text))


class _CallLines(Timeline):
    """Also notices when the app is given up."""

    def __init__(self, calls: CallLines, show: Callable[[str], None]) -> None:
        super().__init__(show)
        self._calls: Final = calls

    def fact(self, at: Ms, fact: Input) -> None:
        super().fact(at, fact)
        self._calls.app_given_up |= isinstance(fact, AppLost)

    def order(self, at: Ms, order: Output) -> None:
        super().order(at, order)
        self._calls.app_given_up |= order == HangUp("app_lost")
