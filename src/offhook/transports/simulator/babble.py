"""The sound of somebody talking, without words: for callers whose words an ear is told."""

from typing import Final

import numpy as np
import numpy.typing as npt

LEVEL: Final = 0.35
"""The loudest sample, of full scale: -9 dB."""
_SYLLABLE_S: Final = 0.113
_GAP_S: Final = 0.03
_LINGERS_S: Final = 0.07
"""So long of a syllable is its own vowel; the rest glides to the next one."""
_BREATH: Final = 0.02
_LEAST: Final = 0.16
"""A syllable begins and ends with this share of its loudness."""
_PITCH_HZ: Final = 180.0
_MELODIES: Final = ((0.29, 4.8), (0.12, 0.6))
"""The voice rises and falls by these shares, so many times a second."""
_HIGHEST_HZ: Final = 3400.0
_VOWELS: Final = np.array(((660, 1720, 2410), (300, 2200, 2900), (530, 1840, 2480)), float)
"""Formants in Hz, after G. E. Peterson and H. L. Barney (1952)."""
_WIDTHS_HZ: Final = (65.0, 48.0, 128.0)
_SHARES: Final = (1.0, 0.52, 0.15)


def babble(ms: int, rate: int) -> npt.NDArray[np.int16]:
    """So much talk: (ms * rate / 1000,) int16 at `rate` Hz, the same each time, without a pause that ends a turn."""
    at = np.arange(ms * rate // 1000) / rate
    number, since = np.divmod(at, _SYLLABLE_S + _GAP_S)
    formants = _formants(number.astype(int), since)
    pitch = np.full(len(at), _PITCH_HZ)
    for share, hertz in _MELODIES:
        pitch += _PITCH_HZ * share * np.sin(2 * np.pi * hertz * at)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = np.zeros(len(at))
    for harmonic in range(1, int(_HIGHEST_HZ / _PITCH_HZ) + 1):
        away = (harmonic * pitch[:, None] - formants) / _WIDTHS_HZ
        gain = (np.array(_SHARES) / np.hypot(1, away)).sum(axis=1) / np.sqrt(harmonic)
        sound += np.where(harmonic * pitch < _HIGHEST_HZ, gain, 0) * np.sin(harmonic * phase)
    swell = np.sin(np.pi * np.minimum(since / _SYLLABLE_S, 1))
    breath = np.random.default_rng(0).standard_normal(len(at)) * swell
    sound *= np.where(since < _SYLLABLE_S, _LEAST + (1 - _LEAST) * swell, 0)
    sound += _BREATH * np.abs(sound).max(initial=0) * breath
    samples: npt.NDArray[np.int16] = np.rint(LEVEL * 32767 / np.abs(sound).max(initial=1e-9) * sound).astype(np.int16)
    return samples


def _formants(number: npt.NDArray[np.int_], since: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, 3) Hz, at so many seconds of syllables of these numbers."""
    glide = np.clip((since - _LINGERS_S) / (_SYLLABLE_S - _LINGERS_S), 0, 1)[:, None]
    vowel = number + number // 8
    following = number + 1 + (number + 1) // 8
    mixed: npt.NDArray[np.float64] = (
        _VOWELS[vowel % len(_VOWELS)] * (1 - glide) + _VOWELS[following % len(_VOWELS)] * glide
    )
    return mixed
