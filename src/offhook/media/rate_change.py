"""Frames of one table's rate at the other's: 8 kHz to 16 kHz and back, for many rows in one matrix product.

A frame comes with the samples before it, so that nothing is remembered between frames and they join without a seam. The
filter is a windowed sinc that passes speech up to 3.4 kHz; what would fold, or mirror, from beyond 4.1 kHz comes out
65 dB weaker and more.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.media.messages import TICK_MS
from offhook.media.shared_audio import Samples

Frames = npt.NDArray[np.float32]

_TAPS: Final = 96  # at 16 kHz
_CUT_OFF_HZ: Final = 3750
_KAISER: Final = 7.0


def _low_pass() -> npt.NDArray[np.float64]:
    """(96,) taps at 16 kHz, of sum 1."""
    n = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(2 * _CUT_OFF_HZ / 16000 * n) * np.kaiser(_TAPS, _KAISER)
    return np.asarray(taps / taps.sum())


class RateChange:
    """From `before` Hz to `after` Hz. A frame needs the `lead` samples before it."""

    def __init__(self, before: int, after: int) -> None:
        frame_before, frame_after = (rate * TICK_MS // 1000 for rate in (before, after))
        self.frame: Final = frame_after
        self.lead: Final = 0 if before == after else _TAPS * before // 16000
        self._matrix: Final = None if before == after else _matrix(self.lead, frame_before, frame_after)

    def __call__(self, blocks: Samples | Frames) -> Frames:
        """(n, lead + frame) samples → (n, frame) samples at the other rate, a filter's length (3 ms) later."""
        samples: Frames = blocks.astype(np.float32)
        return samples if self._matrix is None else samples @ self._matrix


def _matrix(lead: int, before: int, after: int) -> Frames:
    """(lead + before, after) weights: each column is the filter where one new sample lies."""
    taps = _low_pass()
    matrix = np.zeros((lead + before, after), np.float32)
    if before > after:
        for k in range(after):  # every second sample of what passes
            newest = lead + 2 * k + 1
            matrix[newest - _TAPS + 1 : newest + 1, k] = taps[::-1]
        return matrix
    for k in range(after):  # a zero between each two samples, and the filter over them
        phase = 2 * taps[k % 2 :: 2]
        newest = lead + k // 2
        matrix[newest - len(phase) + 1 : newest + 1, k] = phase[::-1]
    return matrix
