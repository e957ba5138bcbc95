"""Comparing what was heard with what was said."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")


def prompt(name: str) -> NDArray[np.float64]:
    """A prompt read by a person, 8 kHz mono, from Debian's asterisk-core-sounds-en-wav."""
    path = PROMPTS / f"{name}.wav"
    if not path.exists():
        raise RuntimeError(f"{path} is missing. Remedy: apt-get install asterisk-core-sounds-en-wav")
    samples, rate = soundfile.read(path, dtype="float64")
    assert rate == 8000
    return np.asarray(samples, dtype=np.float64)


def silence(seconds: float) -> NDArray[np.float64]:
    return np.zeros(int(seconds * 8000))


def write_script(path: Path, *parts: NDArray[np.float64]) -> Path:
    """One WAV for baresip to play: prompts and pauses in a row."""
    soundfile.write(path, np.concatenate(parts), 8000, subtype="PCM_16")
    return path


def best_correlation(heard: NDArray[np.float64], said: NDArray[np.float64]) -> tuple[float, int]:
    """The highest normalised correlation of `said` anywhere within `heard`, and where it begins (samples)."""
    size = 1 << (len(heard) + len(said)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    products = np.fft.irfft(spectrum, size)[: max(1, len(heard) - len(said) + 1)]
    energy = np.concatenate(([0.0], np.cumsum(np.square(heard))))
    window = energy[len(said) : len(said) + len(products)] - energy[: len(products)]
    scores = products / np.sqrt(np.maximum(window, 1e-9) * max(float(np.sum(np.square(said))), 1e-9))
    at = int(np.argmax(scores))
    return float(scores[at]), at
