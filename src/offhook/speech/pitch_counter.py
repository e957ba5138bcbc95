"""Tells a voice from a noise: a voice hums. Counts frames that repeat at the pitch of a human voice.

A recogniser always finds words, also in a cough or in traffic. Measured: no frame in white, pink or brown noise and in
bursts of it; 13 or more in every one of 117 spoken prompts, down to single digits, and 8 with pink noise 10 dB below.
"""

from typing import Final

import numpy as np

from offhook.speech.transcriber import Samples

ENOUGH_FRAMES: Final = 4
"""So many frames of 10 ms make a segment a voice."""
_WINDOW_MS: Final = 32
_LOWEST_HZ: Final = 75
_HIGHEST_HZ: Final = 400
_CORRELATES: Final = 0.5
_AUDIBLE_DBFS: Final = -44.0


class PitchCounter:
    """Streaming: `feed` audio at `rate` Hz and at the usual level; `frames` counts since the last `reset`."""

    def __init__(self, rate: int) -> None:
        self._hop = rate // 100
        self._window = rate * _WINDOW_MS // 1000
        self._lags = np.arange(rate // _HIGHEST_HZ, rate // _LOWEST_HZ)
        self._floor = 32768.0**2 * 10 ** (_AUDIBLE_DBFS / 10) * self._window
        self._held: Samples = np.zeros(0, np.int16)
        self.frames = 0

    @property
    def is_voice(self) -> bool:
        """Whether enough was heard to call it a voice."""
        return self.frames >= ENOUGH_FRAMES

    def reset(self) -> None:
        """A new segment begins."""
        self._held = np.zeros(0, np.int16)
        self.frames = 0

    def feed(self, samples: Samples) -> None:
        """More audio, in pieces of any length."""
        audio = np.concatenate([self._held, samples])
        count = max(0, (len(audio) - self._window - 1) // self._hop + 1)
        self._held = audio[count * self._hop :]
        if count == 0:
            return
        # The difference takes away rumble, whose slow waves repeat as a voice does.
        wave = np.diff(audio.astype(np.float64))
        at = np.arange(self._window)[None, :] + self._hop * np.arange(count)[:, None]
        plain = audio[at].astype(np.float64)
        audible = np.sum(plain * plain, axis=1) >= self._floor
        frames = wave[at]
        frames -= frames.mean(axis=1, keepdims=True)
        spectrum = np.fft.rfft(frames, 2 * self._window)
        products = np.fft.irfft(np.abs(spectrum) ** 2)[:, self._lags]
        energies = np.cumsum(frames * frames, axis=1)
        both = energies[:, self._window - 1 - self._lags] * (energies[:, -1:] - energies[:, self._lags - 1])
        repeats = (products / np.sqrt(np.maximum(both, 1.0))).max(axis=1) > _CORRELATES
        self.frames += int((repeats & audible).sum())
