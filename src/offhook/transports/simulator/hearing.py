"""What a caller hears and says, on its own timeline: levels, stretches of speech, and the recording of both sides."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.audio.level import rms_dbfs
from offhook.media.messages import TICK_MS

Samples = npt.NDArray[np.int16]

PAUSE_MS: Final = 300
"""A pause shorter than this lies within a stretch of speech."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the caller's timeline: from its start to its end, in ms since the call was connected."""

    start_ms: int
    end_ms: int


class Hearing:
    """Follows one call frame by frame.

    Args:
        rate: of the samples, in Hz.
        audible_above_dbfs: a frame below this level counts as silence.
        record: whether both sides are kept for `recording`.
    """

    def __init__(self, rate: int, *, audible_above_dbfs: float, record: bool) -> None:
        self._threshold = audible_above_dbfs
        self._silence: Final = np.zeros(rate * TICK_MS // 1000, np.int16)
        self._tape: list[tuple[Samples, Samples]] | None = [] if record else None
        self._frames = 0
        self._heard: list[Span] = []
        self._said: list[Span] = []

    @property
    def now_ms(self) -> int:
        """How long the call has lasted for the caller."""
        return self._frames * TICK_MS

    @property
    def heard(self) -> tuple[Span, ...]:
        """When the assistant was audible; stretches with less than PAUSE_MS between them are one."""
        return tuple(self._heard)

    @property
    def said(self) -> tuple[Span, ...]:
        """When the caller spoke: one stretch for each `Say` and `SayText`."""
        return tuple(self._said)

    @property
    def quiet_ms(self) -> int:
        """How long the assistant has not been audible; since the beginning, when it never was."""
        return self.now_ms - (self._heard[-1].end_ms if self._heard else 0)

    @property
    def speaking_ms(self) -> int:
        """How long the assistant has been speaking, short pauses counted; 0 when it is not."""
        if not self._heard or self.quiet_ms >= PAUSE_MS:
            return 0
        return self.now_ms - self._heard[-1].start_ms

    def hear(self, samples: Samples) -> None:
        """The next frame of the assistant; time goes on by one frame."""
        start = self.now_ms
        self._frames += 1
        if rms_dbfs(samples) > self._threshold:
            _extend(self._heard, start, self.now_ms, within_ms=PAUSE_MS)
        if self._tape is not None:
            self._tape.append((self._silence, samples))

    def miss(self, frames: int) -> None:
        """Frames in which nothing came and nothing was sent."""
        self._frames += frames
        if self._tape is not None:
            self._tape.extend([(self._silence, self._silence)] * frames)

    def say(self, samples: Samples, *, begins: bool) -> None:
        """What the caller says in the frame that was heard last; `begins`: a new step begins with it."""
        if begins:
            self._said.append(Span(self.now_ms - TICK_MS, self.now_ms))
        else:
            self._said[-1] = Span(self._said[-1].start_ms, self.now_ms)
        if self._tape is not None:
            self._tape[-1] = (samples, self._tape[-1][1])

    def recording(self) -> Samples:
        """(n, 2) int16: left the caller, right what it heard; nothing when the call was not recorded."""
        if not self._tape:
            return np.zeros((0, 2), np.int16)
        said, heard = zip(*self._tape, strict=True)
        return np.stack([np.concatenate(said), np.concatenate(heard)], axis=1)


def _extend(spans: list[Span], start: int, end: int, *, within_ms: int) -> None:
    if spans and start - spans[-1].end_ms < within_ms:
        spans[-1] = Span(spans[-1].start_ms, end)
    else:
        spans.append(Span(start, end))
