"""How loud a caller is, and where they pause: what the embedded recogniser must know and no engine tells.

The acoustic model's mean features belong to one level, so a quiet telephone is turned up before it is recognised.
Everything here counts in frames of 10 ms, as the recogniser does.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from offhook.speech.transcriber import Samples

FRAMES_A_SECOND: Final = 100
TARGET_DBFS: Final = -19.0
MAX_GAIN_DB: Final = 30.0
MIN_GAIN_DB: Final = -10.0
VOICE_WITHIN_DB: Final = 28.0
"""A frame is voice when it is at most so far below the loud frames of its turn…"""
VOICE_ABOVE_DBFS: Final = -58.0
"""… and above what a silent telephone line has."""

FrameLevels = NDArray[np.float64]


def frame_levels(samples: Samples, rate: int) -> FrameLevels:
    """The level of each whole frame of 10 ms in dBFS (RMS): (len(samples) // (rate / 100),)."""
    size = rate // FRAMES_A_SECOND
    count = len(samples) // size
    frames = samples[: count * size].astype(np.float64).reshape(count, size)
    powers = np.mean(frames * frames, axis=1) if count else np.zeros(0)
    levels: FrameLevels = 10 * np.log10(np.maximum(powers, 1e-3)) - 20 * np.log10(32768)
    return levels


def voiced(levels: FrameLevels) -> NDArray[np.bool_]:
    """Which frames are the caller's voice, judged by the loudest of them."""
    if levels.size == 0:
        return np.zeros(0, np.bool_)
    loud = float(np.percentile(levels, 95))
    return levels > max(loud - VOICE_WITHIN_DB, VOICE_ABOVE_DBFS)


def voice_level(levels: FrameLevels) -> float | None:
    """How loud the voice is in dBFS: the level that three of ten of its frames exceed. None where there is none."""
    frames = levels[voiced(levels)]
    return float(np.percentile(frames, 70)) if frames.size else None


def gain_for(level: float) -> float:
    """The factor that brings a voice of this level to the level that the recogniser was tuned at."""
    decibels = min(max(TARGET_DBFS - level, MIN_GAIN_DB), MAX_GAIN_DB)
    return float(10 ** (decibels / 20))


def silent_at_the_end(levels: FrameLevels) -> int:
    """How many frames without voice there are at the end; all of them where nothing was voice."""
    frames = np.flatnonzero(voiced(levels))
    return int(levels.size if frames.size == 0 else levels.size - 1 - frames[-1])
