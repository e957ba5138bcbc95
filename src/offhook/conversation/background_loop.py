"""The background loop: mixed under everything, resting while the caller is with somebody else (contract D12)."""

from enum import StrEnum, auto

from offhook.conversation.outputs import Output, PauseLoop, ResumeLoop, StartLoop, StopLoop
from offhook.protocol.actions import MixAudio


class Loop(StrEnum):
    """What the loop does."""

    NONE = auto()
    HEARD = auto()
    RESTING = auto()


class BackgroundLoop:
    """The loop of one call."""

    def __init__(self) -> None:
        self.state = Loop.NONE

    def mix(self, action: MixAudio, *, rest: bool) -> list[Output]:
        """Start, replace or stop it; `rest`: the caller must not hear it yet."""
        if action.stop or action.audio is None:
            stops = self.state is not Loop.NONE
            self.state = Loop.NONE
            return [StopLoop()] if stops else []
        self.state = Loop.RESTING if rest else Loop.HEARD
        start = StartLoop(action.audio, action.volume)
        return [PauseLoop(), start] if rest else [start]

    def rest(self) -> list[Output]:
        if self.state is not Loop.HEARD:
            return []
        self.state = Loop.RESTING
        return [PauseLoop()]

    def resume(self) -> list[Output]:
        if self.state is not Loop.RESTING:
            return []
        self.state = Loop.HEARD
        return [ResumeLoop()]
