"""A turn for recognisers that take whole recordings: its audio so far, and when it is worth asking about it again."""

from typing import Final

import numpy as np

from offhook.speech.transcriber import Samples
from offhook.speech.voice_level import VOICE_ABOVE_DBFS, frame_levels

FIRST_MS: Final = 600
GROWS_BY: Final = 0.25
"""Asking again when a turn has grown by so much, all that is recognised is about five times the turn."""
VOICE_FRAMES: Final = 5
MAX_TURN_SECONDS: Final = 120
"""What comes after is not recognised any more, so that noise cannot keep a recogniser for ever."""


class GrowingTurn:
    """One turn.

    Args:
        rate: of the audio in Hz.
        first_ms: how long the turn is when it is asked about for the first time; by no less it must grow afterwards.
    """

    def __init__(self, rate: int, first_ms: int = FIRST_MS) -> None:
        self._rate = rate
        self._blocks: list[Samples] = []
        self._length = 0
        self._step = rate * first_ms // 1000
        self._next = self._step
        self._voice_frames = 0

    def add(self, samples: Samples) -> None:
        """More audio."""
        samples = samples[: self._rate * MAX_TURN_SECONDS - self._length]
        if not samples.size:
            return
        self._blocks.append(samples)
        self._length += samples.size
        if not self.has_voice:
            self._voice_frames += int((frame_levels(samples, self._rate) > VOICE_ABOVE_DBFS).sum())

    @property
    def has_voice(self) -> bool:
        """Whether there was more to hear than a silent line, of which some recognisers make words."""
        return self._voice_frames >= VOICE_FRAMES

    @property
    def due(self) -> bool:
        """Whether to ask for the words so far."""
        return self.has_voice and self._length >= self._next

    def asked(self) -> Samples:
        """The audio so far, to ask about it."""
        self._next = self._length + max(self._step, round(self._length * GROWS_BY))
        return self.whole()

    def whole(self) -> Samples:
        """The audio so far."""
        whole: Samples = np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.int16)
        self._blocks = [whole] if self._blocks else []
        return whole
