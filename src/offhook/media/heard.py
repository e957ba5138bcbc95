"""What each row of a table has heard: appended in order to its ring, from which detector and recogniser read."""

from typing import Final

import numpy as np

from offhook.media.shared_audio import Positions, RingWindows, Rows, Samples, SharedTable, write_ring

FADE_FRAMES: Final = 3
"""After so many lost frames of 20 ms what is put in their place has become silence."""


class Heard:
    """`count` (rows,): the samples that each row has heard, ever. `rings` (rows, ring length): the newest of them."""

    def __init__(self, shared: SharedTable) -> None:
        self.rings: Final = shared.heard
        self._frame: Final = shared.shape.frame
        self._windows: Final[dict[int, RingWindows]] = {}
        self._fade: Final = np.linspace(1, 0, FADE_FRAMES * self._frame, dtype=np.float32)
        self.shape: Final = shared.shape
        self.count: Final[Positions] = np.zeros(shared.shape.rows, np.int64)

    def open(self, row: int, count: int) -> None:
        """Begin at this count; nothing was heard before 0."""
        self.count[row] = count
        if count == 0:
            self.rings[row, -2 * self.shape.rate // 10 :] = 0

    def windows(self, width: int) -> RingWindows:
        """The rings in blocks of this width."""
        if width not in self._windows:
            self._windows[width] = RingWindows(self.rings, width)
        return self._windows[width]

    def append(self, rows: Rows, blocks: Samples) -> None:
        """Add (n, width) samples, each row once."""
        start = self.count[rows]
        self.windows(blocks.shape[1]).write(rows, start, blocks)
        self.count[rows] = start + blocks.shape[1]

    def append_silence(self, rows: Rows, width: int) -> None:
        """Add `width` samples of silence."""
        self.append(rows, np.zeros((len(rows), width), np.int16))

    def conceal(self, rows: Rows, lost: Positions) -> None:
        """Put something in the place of `lost` samples of each row: the last frame, mirrored so that it joins without a
        step, forth and back again, fading to silence within 60 ms."""
        last = self.windows(self._frame).read(rows, self.count[rows] - self._frame)
        mirrored = last[:, ::-1]
        filling = (np.hstack([mirrored, last, mirrored]) * self._fade).astype(np.int16)
        for row, missing, fill in zip(rows, lost, filling, strict=True):
            block = np.zeros(missing, np.int16)
            block[: len(fill)] = fill[:missing]
            write_ring(self.rings[row], int(self.count[row]), block)
        self.count[rows] += lost
