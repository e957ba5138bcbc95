"""Keys that a peer sends as tones in the audio (ITU-T Q.23), found as Q.24 asks: a tone of 40 ms is a press, one of
23 ms is none, a break of 10 ms does not make two of one, and speech and music are none.

Blocks of 20 ms, each 10 ms after the other, are compared with the eight tones, each at five frequencies within its
tolerance; all rows at once. In a block of a key nearly all that sounds is one tone of either group.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.media.heard import Heard
from offhook.media.rtp import Mask, Numbers
from offhook.media.shared_audio import Samples
from offhook.media.telephone_event import COLUMNS_HZ, KEYPAD, ROWS_HZ

BLOCK_MS: Final = 20
HOP_MS: Final = 10
LEAST_DBFS: Final = -38.0
"""Each of the two tones is at least so loud (rms); Q.24 asks for those of -25 dBm0, which is -31 here."""
HIGH_STRONGER_DB: Final = 5.0
HIGH_WEAKER_DB: Final = 9.0
"""How far the two tones may differ: 4 and 8 dB by Q.24, and one more."""
ABOVE_OTHERS_DB: Final = 8.0
"""How far a tone is above the others of its group."""
PURITY: Final = 0.82
"""The part of a block's energy that lies in the two tones."""
PRESS_BLOCKS: Final = 2
RELEASE_BLOCKS: Final = 4
_OFFSETS: Final = (-0.016, -0.008, 0.0, 0.008, 0.016)
_MOST_BLOCKS: Final = 8  # a tick; 4 times real time
_ROWS_AT_ONCE: Final = 64  # so that they stay in the cache
_NO_KEY: Final = -1

Floats = npt.NDArray[np.float32]


class InbandKeys:
    """The keys heard by the rows of a table that are listened to."""

    def __init__(self, heard: Heard) -> None:
        rows, rate = heard.shape.rows, heard.shape.rate
        self._heard: Final = heard
        self._block: Final = rate // 1000 * BLOCK_MS
        self._hop: Final = rate // 1000 * HOP_MS
        self._tones: Final = _tones(rate, self._block)
        self._least: Final = (32768 * 10 ** (LEAST_DBFS / 20)) ** 2
        self._listening: Final[Mask] = np.zeros(rows, np.bool_)
        self._read: Final[Numbers] = np.zeros(rows, np.int64)
        self._candidate: Final[Numbers] = np.full(rows, _NO_KEY, np.int64)
        self._blocks: Final[Numbers] = np.zeros(rows, np.int64)  # of the candidate, one after the other
        self._pressed: Final[Numbers] = np.full(rows, _NO_KEY, np.int64)
        self._without: Final[Numbers] = np.zeros(rows, np.int64)  # blocks since the pressed key was heard
        self._any = False

    def listen(self, row: int, listening: bool) -> None:
        """Listen to a row from here on, or no more."""
        if listening and not self._listening[row]:
            self._read[row] = self._heard.count[row]
            self._candidate[row] = self._pressed[row] = _NO_KEY
            self._blocks[row] = self._without[row] = 0
        self._listening[row] = listening
        self._any = bool(self._listening.any())

    def detect(self) -> list[tuple[int, str]]:
        """Take what was heard since; returns (row, digit) of each press that has begun."""
        if not self._any:
            return []
        pressed: list[tuple[int, str]] = []
        count = self._heard.count
        far = self._listening & (count - self._read > _MOST_BLOCKS * self._hop + self._block)
        self._read[far] = count[far] - self._block
        for _ in range(_MOST_BLOCKS):
            rows = np.flatnonzero(self._listening & (count - self._read >= self._block))
            if not len(rows):
                break
            keys = self._keys(self._heard.windows(self._block).read(rows, self._read[rows]))
            self._read[rows] += self._hop
            pressed += [(int(row), KEYPAD[self._pressed[row]]) for row in self._decide(rows, keys)]
        return pressed

    def _keys(self, blocks: Samples) -> Numbers:
        """(n, block) samples → (n,) places on the keypad, -1 where there is no key."""
        keys = np.full(len(blocks), _NO_KEY, np.int64)
        for start in range(0, len(blocks), _ROWS_AT_ONCE):
            samples: Floats = blocks[start : start + _ROWS_AT_ONCE].astype(np.float32)
            total = np.einsum("ij,ij->i", samples, samples) / self._block
            loud = np.flatnonzero(total >= 2 * self._least)
            if len(loud):
                keys[start + loud] = self._loud_keys(samples[loud], total[loud])
        return keys

    def _loud_keys(self, samples: Floats, total: Floats) -> Numbers:
        waves = samples @ self._tones
        np.square(waves, out=waves)
        half = waves.shape[1] // 2
        power = (waves[:, :half] + waves[:, half:]).reshape(len(samples), 8, len(_OFFSETS)).max(axis=2)
        row, column = power[:, :4].argmax(axis=1), power[:, 4:].argmax(axis=1)
        lows, highs = np.sort(power[:, :4], axis=1), np.sort(power[:, 4:], axis=1)
        low, high = lows[:, 3], highs[:, 3]
        above = np.float32(10 ** (ABOVE_OTHERS_DB / 10))
        is_key = (
            (np.minimum(low, high) >= self._least)
            & (high <= low * 10 ** (HIGH_STRONGER_DB / 10))
            & (low <= high * 10 ** (HIGH_WEAKER_DB / 10))
            & (low >= lows[:, 2] * above)
            & (high >= highs[:, 2] * above)
            & (low + high >= PURITY * total)
        )
        return np.where(is_key, row * 4 + column, _NO_KEY)

    def _decide(self, rows: Numbers, keys: Numbers) -> Numbers:
        """Returns the rows on which a press has begun with this block."""
        heard = keys != _NO_KEY
        same = keys == self._candidate[rows]
        self._blocks[rows] = np.where(heard, np.where(same, self._blocks[rows] + 1, 1), 0)
        self._candidate[rows] = keys
        begun = heard & (self._blocks[rows] == PRESS_BLOCKS) & (keys != self._pressed[rows])
        still = heard & (keys == self._pressed[rows])
        self._pressed[rows[begun]] = keys[begun]
        self._without[rows] = np.where(still | begun, 0, self._without[rows] + 1)
        self._pressed[rows[self._without[rows] >= RELEASE_BLOCKS]] = _NO_KEY
        return np.asarray(rows[begun])


def _tones(rate: int, block: int) -> Floats:
    """(block, 80): cosines and sines of the eight tones at five frequencies each, scaled so that the squares of the two
    add up to the power of a tone that is there."""
    hertz = np.array([tone * (1 + offset) for tone in (*ROWS_HZ, *COLUMNS_HZ) for offset in _OFFSETS])
    angle = 2 * np.pi * np.outer(np.arange(block) / rate, hertz)
    scale = np.sqrt(2) / block
    return np.asarray(np.hstack([np.cos(angle), np.sin(angle)]) * scale, np.float32)
