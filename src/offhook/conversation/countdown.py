"""A countdown that can be suspended while the caller has put us on hold."""

from typing import Final

from offhook.conversation.inputs import Ms


class Countdown:
    """Off, running (it has an end), or suspended (it has a rest)."""

    __slots__: Final = ("_rest", "ends_at")

    def __init__(self) -> None:
        self.ends_at: Ms | None = None
        self._rest: Ms | None = None

    @property
    def on(self) -> bool:
        """Whether it runs or is suspended."""
        return self.ends_at is not None or self._rest is not None

    def start(self, duration_ms: Ms, now: Ms, *, suspended: bool = False) -> None:
        """From now on; `suspended`: from `resume` on."""
        self.ends_at, self._rest = (None, duration_ms) if suspended else (now + duration_ms, None)

    def suspend(self, now: Ms) -> None:
        """Keep what is left of it."""
        if self.ends_at is not None:
            self._rest = max(0, self.ends_at - now)
            self.ends_at = None

    def resume(self, now: Ms) -> None:
        """Go on with what was left."""
        if self._rest is not None:
            self.ends_at = now + self._rest
            self._rest = None

    def stop(self) -> None:
        """Off."""
        self.ends_at = self._rest = None
