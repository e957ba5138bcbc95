"""Frames between 8 and 16 kHz: what speech needs passes, what would fold or mirror does not, frames join."""

import numpy as np
import numpy.typing as npt
import pytest

from offhook.media.rate_change import RateChange

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]


def changed(samples: Samples, before: int, after: int) -> Floats:
    """A frame after the other, each with the samples before it."""
    change = RateChange(before, after)
    frame, padded = before // 50, np.concatenate([np.zeros(change.lead, np.int16), samples])
    blocks = np.stack([padded[at : at + change.lead + frame] for at in range(0, len(samples) - frame + 1, frame)])
    return np.asarray(change(blocks).reshape(-1), np.float64)


def sine(hertz: float, rate: int, seconds: float = 1.0) -> Samples:
    return np.asarray(10000 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate), np.int16)


def gain_db(samples: Floats, rate: int, hertz: float) -> float:
    """How strong this frequency is, beside a sine of 10000."""
    middle = samples[len(samples) // 4 : len(samples) * 3 // 4]
    window = np.hanning(len(middle))
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(middle)) / rate)
    return float(20 * np.log10(2 * abs(np.sum(middle * window * wave)) / window.sum() / 10000 + 1e-9))


@pytest.mark.parametrize("hertz", [300, 1000, 2500, 3300])
def test_what_speech_needs_passes_both_ways(hertz: float) -> None:
    assert gain_db(changed(sine(hertz, 16000), 16000, 8000), 8000, hertz) == pytest.approx(0, abs=0.2)
    assert gain_db(changed(sine(hertz, 8000), 8000, 16000), 16000, hertz) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("hertz", [4200, 5000, 6500, 7700])
def test_what_lies_beyond_does_not_fold_into_8_khz(hertz: float) -> None:
    assert gain_db(changed(sine(hertz, 16000), 16000, 8000), 8000, 8000 - hertz) < -65


@pytest.mark.parametrize("hertz", [300, 1500, 3000, 3700])
def test_nothing_is_mirrored_into_16_khz(hertz: float) -> None:
    assert gain_db(changed(sine(hertz, 8000), 8000, 16000), 16000, 8000 - hertz) < -65


@pytest.mark.parametrize(("before", "after"), [(8000, 16000), (16000, 8000)])
def test_frames_join_as_if_they_were_one(before: int, after: int) -> None:
    """Whether a frame is changed by itself or in the midst of others is the same to the last bit but rounding."""
    noise = np.random.default_rng(1).integers(-9000, 9000, before).astype(np.int16)
    whole = changed(noise, before, after)
    shifted = changed(noise[before // 100 :], before, after)
    half = after // 100
    n = min(len(whole) - half, len(shifted))
    assert np.allclose(whole[half + 200 : n + half], shifted[200:n], atol=0.01)


def test_the_same_rate_is_untouched() -> None:
    voice = np.random.default_rng(1).integers(-32768, 32767, 8000).astype(np.int16)
    assert np.array_equal(changed(voice, 8000, 8000), voice)
