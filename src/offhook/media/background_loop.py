"""The background loop of each row (contract D12): without a gap, ramped over one frame whenever it comes, goes, rests
or changes.

Loops lie in the shared store; a row knows where its own begins. The loop stands still while it rests.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.media.rtp import Mask, Numbers
from offhook.media.shared_audio import Rows, Samples, SharedLoops, TableShape

Frames = npt.NDArray[np.float32]

_KNEE = 26000.0
_CEILING = 32767.0


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A loop that is being replaced: it fades out in the frame in which the next one fades in."""

    start: int
    length: int
    position: int
    gain: float


class BackgroundLoop:
    """`frames` (rows, samples of 20 ms) is what is prepared, `sounding` (rows,) says where it is not silence.
    `position` (rows,) is the next sample of each row's loop."""

    def __init__(self, shape: TableShape, store: SharedLoops) -> None:
        rows, frame = shape.rows, shape.frame
        self._store: Final = store.samples
        self._windows: Final = np.lib.stride_tricks.sliding_window_view(store.samples, frame)
        self._steps: Final = np.arange(frame)
        self._up: Final = np.linspace(0, 1, frame, dtype=np.float32)
        self.frames: Final[Frames] = np.zeros((rows, frame), np.float32)
        self.sounding: Final[Mask] = np.zeros(rows, np.bool_)
        self.position: Final[Numbers] = np.zeros(rows, np.int64)
        self._start: Final[Numbers] = np.zeros(rows, np.int64)
        self._length: Final[Numbers] = np.zeros(rows, np.int64)
        self._volume: Final[Frames] = np.zeros(rows, np.float32)
        self._gain: Final[Frames] = np.zeros(rows, np.float32)
        self._dropped: Final[Mask] = np.zeros(rows, np.bool_)
        self._resting: Final[Mask] = np.zeros(rows, np.bool_)
        self._leaving: Final[dict[int, _Leaving]] = {}
        self._resumed: Final[dict[int, int]] = {}

    def open(self, row: int) -> None:
        """Begin without a loop."""
        self._length[row] = self._gain[row] = self._volume[row] = self.position[row] = 0
        self._dropped[row] = self._resting[row] = self.sounding[row] = False
        self.frames[row] = 0
        self._leaving.pop(row, None)
        self._resumed.pop(row, None)

    def resume(self, row: int, position: int) -> None:
        """The row's first loop has been heard up to here before the row was opened here."""
        self._resumed[row] = position

    def start(self, row: int, start: int, samples: int, volume: float) -> None:
        """Loop this part of the store; what loops already fades out meanwhile."""
        if self._length[row] and self._gain[row] > 0:
            self._leaving[row] = _Leaving(
                int(self._start[row]), int(self._length[row]), int(self.position[row]), float(self._gain[row])
            )
        self._start[row], self._length[row] = start, samples
        self.position[row] = self._resumed.pop(row, 0) % max(1, samples)
        self._volume[row] = min(1.0, max(0.0, volume))
        self._gain[row] = 0
        self._dropped[row] = False

    def drop(self, row: int) -> None:
        """Fade out and forget."""
        self._dropped[row] = True

    def rest(self, row: int, resting: bool) -> None:
        """Fade out and stand still, or go on."""
        self._resting[row] = resting

    def prepare(self, rows: Rows) -> None:
        """Make the next frame of these rows."""
        quiet = rows[self.sounding[rows]]
        self.sounding[quiet] = False
        self._prepare_current(rows[self._length[rows] > 0])
        if self._leaving:
            prepared = set(rows.tolist())
            for row in [row for row in self._leaving if row in prepared]:
                self._fade_out(row)

    def _prepare_current(self, rows: Rows) -> None:
        if not len(rows):
            return
        target = np.where(self._dropped[rows] | self._resting[rows], np.float32(0), self._volume[rows])
        gain = self._gain[rows]
        audible = (gain > 0) | (target > 0)
        heard, before, after = rows[audible], gain[audible], target[audible]
        if len(heard):
            slope = (before[:, None] + (after - before)[:, None] * self._up).astype(np.float32)
            self.frames[heard] = self._next(heard) * slope
            self.position[heard] = (self.position[heard] + len(self._steps)) % self._length[heard]
            self.sounding[heard] = True
        self._gain[rows] = target
        gone = rows[self._dropped[rows]]
        self._length[gone] = 0
        self._dropped[gone] = False

    def _next(self, rows: Rows) -> Samples:
        start, length, position = self._start[rows], self._length[rows], self.position[rows]
        wraps = position + len(self._steps) > length
        if not wraps.any():
            return np.asarray(self._windows[start + position])
        frames: Samples = self._windows[np.where(wraps, 0, start + position)]
        index = (position[wraps][:, None] + self._steps) % length[wraps][:, None] + start[wraps][:, None]
        frames[wraps] = self._store[index]
        return frames

    def _fade_out(self, row: int) -> None:
        old = self._leaving.pop(row)
        index = (old.position + self._steps) % old.length + old.start
        fading = self._store[index] * (old.gain * (1 - self._up)).astype(np.float32)
        self.frames[row] = self.frames[row] * self.sounding[row] + fading
        self.sounding[row] = True


def soft_limit(samples: Frames) -> Samples:
    """Sums of two voices into 16 bits: untouched up to the knee, bent towards the ceiling above it."""
    magnitude = np.abs(samples)
    if magnitude.max(initial=0.0) > _KNEE:
        room = np.float32(_CEILING - _KNEE)
        bent = _KNEE + room * np.tanh((magnitude - _KNEE) / room)
        samples = np.where(magnitude > _KNEE, np.copysign(bent, samples), samples)
    return np.rint(samples).astype(np.int16)
