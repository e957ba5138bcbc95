"""What the caller does next: its steps, frame by frame, as a pure machine."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from offhook.media.messages import TICK_MS
from offhook.transports.simulator.hearing import Hearing
from offhook.transports.simulator.steps import (
    HangUp,
    Hold,
    PacedStep,
    Press,
    ReadyStep,
    Resume,
    Say,
    Signal,
    StepOutcome,
    Wait,
    WaitUntilQuiet,
    WaitUntilSpeaking,
)

Samples = npt.NDArray[np.int16]

END_REPEATS: Final = 2
"""The end of a key is said three times (RFC 4733 section 2.5.1.4)."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The caller says nothing in this frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """The caller says these samples, one frame of them; `begins`: they are the first of a step."""

    samples: Samples
    begins: bool


@dataclass(frozen=True, slots=True)
class KeyDown:
    """A key is down in its `frame`-th frame, from 0; `end`: it is let go; `repeated`: that is said once more."""

    key: str
    frame: int
    end: bool
    repeated: bool = False


FrameSaid: TypeAlias = Silence | Speech | KeyDown
_Frames: TypeAlias = Generator[FrameSaid, None, StepOutcome]

_SILENCE = Silence()


class Script:
    """The steps still to be done, and how far the current one has come.

    Args:
        hearing: what the caller has heard; to be brought up to date before `next_frame`.
        frame: samples a frame.
    """

    def __init__(self, hearing: Hearing, frame: int) -> None:
        self._hearing = hearing
        self._frame = frame
        self._steps: deque[tuple[int, ReadyStep]] = deque()
        self._current: tuple[int, _Frames] | None = None
        self._outcomes: dict[int, StepOutcome] = {}
        self._added = 0

    @property
    def outcomes(self) -> dict[int, StepOutcome]:
        """How each finished step ended, by its number."""
        return self._outcomes

    def add(self, step: ReadyStep) -> int:
        """Put a step behind the others; gives its number."""
        number = self._added
        self._added += 1
        self._steps.append((number, step))
        return number

    def next_signal(self) -> Signal | None:
        """The signal to be given now, if the steps have come to one; it counts as done."""
        if self._current is None and self._steps and isinstance(self._steps[0][1], Hold | Resume | HangUp):
            number, step = self._steps.popleft()
            self._outcomes[number] = StepOutcome.DONE
            assert isinstance(step, Hold | Resume | HangUp)
            return step
        return None

    def next_frame(self) -> FrameSaid:
        """What the caller says in the frame that it has just heard."""
        while True:
            if self._current is None:
                if not self._steps or isinstance(self._steps[0][1], Hold | Resume | HangUp):
                    return _SILENCE
                number, step = self._steps.popleft()
                assert not isinstance(step, Hold | Resume | HangUp)
                self._current = (number, self._frames_of(step))
            number, frames = self._current
            try:
                return next(frames)
            except StopIteration as stopped:
                self._outcomes[number] = stopped.value
                self._current = None

    def abandon(self) -> None:
        """The call is over: what was not done will not be."""
        left = [number for number, _ in self._steps]
        if self._current is not None:
            left.append(self._current[0])
        self._outcomes.update(dict.fromkeys(left, StepOutcome.CALL_OVER))
        self._steps.clear()
        self._current = None

    def _frames_of(self, step: PacedStep) -> _Frames:
        match step:
            case Say(samples):
                return self._say(samples)
            case Wait(ms):
                return self._wait(ms)
            case WaitUntilQuiet(ms, at_most_ms, speech_at_most_ms):
                return self._wait_until_quiet(ms, at_most_ms, max(at_most_ms, speech_at_most_ms))
            case WaitUntilSpeaking(ms, at_most_ms):
                return self._wait_until_speaking(ms, at_most_ms)
            case Press(keys, tone_ms, pause_ms):
                return self._press(keys, _frames(tone_ms), _frames(pause_ms))
            case _:
                assert_never(step)

    def _say(self, samples: Samples) -> _Frames:
        for start in range(0, len(samples), self._frame):
            piece = samples[start : start + self._frame]
            if len(piece) < self._frame:
                piece = np.concatenate([piece, np.zeros(self._frame - len(piece), np.int16)])
            yield Speech(piece, begins=start == 0)
        return StepOutcome.DONE

    def _wait(self, ms: int) -> _Frames:
        for _ in range(_frames(ms)):
            yield _SILENCE
        return StepOutcome.DONE

    def _wait_until_quiet(self, ms: int, at_most_ms: int, speech_at_most_ms: int) -> _Frames:
        began = self._hearing.now_ms - TICK_MS
        limit = at_most_ms
        while self._hearing.now_ms - began <= limit:
            heard = self._hearing.heard
            if heard and heard[-1].end_ms > began:
                if self._hearing.quiet_ms >= ms:
                    return StepOutcome.DONE
                limit = speech_at_most_ms
            yield _SILENCE
        return StepOutcome.GAVE_UP

    def _wait_until_speaking(self, ms: int, at_most_ms: int) -> _Frames:
        began = self._hearing.now_ms - TICK_MS
        while self._hearing.now_ms - began <= at_most_ms:
            if self._hearing.quiet_ms == 0 and self._hearing.speaking_ms >= max(ms, TICK_MS):
                return StepOutcome.DONE
            yield _SILENCE
        return StepOutcome.GAVE_UP

    def _press(self, keys: str, tone: int, pause: int) -> _Frames:
        tone = max(tone, 1)
        for key in keys:
            for frame in range(tone):
                yield KeyDown(key, frame, end=frame == tone - 1)
            for _ in range(END_REPEATS):
                yield KeyDown(key, tone - 1, end=True, repeated=True)
            for _ in range(pause - END_REPEATS):
                yield _SILENCE
        return StepOutcome.DONE


def _frames(ms: int) -> int:
    return -(-ms // TICK_MS)
