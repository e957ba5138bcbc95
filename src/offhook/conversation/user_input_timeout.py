"""How long the caller may stay silent after a `speak` that asks for it (contract D23).

Armed by the latest `speak`; it runs only while the assistant has nothing left to do and the caller is silent, and
starts anew each time that becomes true. One event for each arming.
"""

from typing import Final

from offhook.conversation.countdown import Countdown
from offhook.conversation.inputs import Ms

LONGEST_MS: Final = 86_400_000


class UserInputTimeout:
    """The timeout of one call."""

    def __init__(self) -> None:
        self._wait_ms: Ms | None = None
        self._countdown: Final = Countdown()

    @property
    def ends_at(self) -> Ms | None:
        return self._countdown.ends_at

    def arm(self, seconds: float | None) -> None:
        """A `speak` begins: its value replaces the one before; None, 0, negative or no number: not armed."""
        self.disarm()
        if seconds is not None and seconds > 0:
            self._wait_ms = max(1, round(min(seconds * 1000, LONGEST_MS)))

    def disarm(self) -> None:
        """The caller has spoken, or the event went out."""
        self._wait_ms = None
        self._countdown.stop()

    def restart(self, now: Ms) -> None:
        """A key was pressed: a running countdown begins again."""
        if self._wait_ms is not None and self._countdown.ends_at is not None:
            self._countdown.start(self._wait_ms, now)

    def observe(self, now: Ms, *, all_quiet: bool, held: bool) -> None:
        """`all_quiet`: nothing is playing or queued, and no turn of the caller is open. `held`: nobody listens."""
        if self._wait_ms is None or not all_quiet:
            self._countdown.stop()
        elif not self._countdown.on:
            self._countdown.start(self._wait_ms, now, suspended=held)
        elif held:
            self._countdown.suspend(now)
        else:
            self._countdown.resume(now)
