"""How loud audio is, in dBFS: 0 is the level of a square wave at full scale, a full-scale sine has -3."""

from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

SILENCE_DBFS: Final = -120.0
"""What digital silence, and no audio at all, is given as."""


def rms_dbfs(samples: Samples) -> float:
    """The level of a piece of audio, (n,) int16."""
    return float(frame_levels(samples, max(1, len(samples)))[0]) if len(samples) else SILENCE_DBFS


def frame_levels(samples: Samples, frame: int) -> npt.NDArray[np.float64]:
    """The level of each whole frame of `frame` samples: (n,) int16 → (n // frame,) dBFS."""
    whole = len(samples) // frame
    frames = samples[: whole * frame].reshape(whole, frame).astype(np.float64)
    power = np.square(frames).mean(axis=1) / 32768**2
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10)))
    return levels
